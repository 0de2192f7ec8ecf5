// SPDX-License-Identifier: Apache-2.0
#include "http/parser.h"

#include <doctest/doctest.h>

#include <random>

using namespace mlxguard;
using namespace mlxguard::http;

namespace {

const RequestLimits kLimits{.header_bytes_max = 1024, .body_bytes_max = 64};

struct Outcome {
  std::optional<ErrorCode> refused;
  bool done = false;
  bool keep_alive = false;
  std::size_t left = 0;
  RequestHead head;
  std::string body;
};

/// Feeds `step` bytes at a time, keeping what the parser did not use, as a connection does.
Outcome parse(const std::string& text, std::size_t step = std::string::npos) {
  RequestParser parser(kLimits);
  Outcome outcome;
  std::string unread;
  for (std::size_t at = 0; at < text.size() && !parser.done();) {
    const std::size_t count = std::min(step, text.size() - at);
    unread.append(text, at, count);
    at += count;
    for (int pass = 0; pass < 2; ++pass) {
      const auto used = parser.feed({unread.data(), unread.size()});
      if (!used) {
        outcome.refused = used.error().code;
        CHECK(parser.feed({unread.data(), unread.size()}).error().code == *outcome.refused);
        return outcome;
      }
      unread.erase(0, *used);
      if (parser.has_head()) parser.read_body();
    }
    outcome.left = unread.size() + (text.size() - at);
  }
  outcome.done = parser.done();
  outcome.keep_alive = parser.keep_alive();
  outcome.head = parser.head();
  outcome.body = parser.body();
  return outcome;
}

std::string post(const std::string& headers, const std::string& body) {
  return "POST /v1/embeddings HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + body;
}

void refuse(const std::string& text, ErrorCode code = ErrorCode::kRequestSyntax) {
  INFO(text);
  const Outcome whole = parse(text);
  CHECK(whole.refused == code);
  CHECK(parse(text, 1).refused == code);
}

}  // namespace

TEST_CASE("http: a request is read whole, whatever pieces it comes in") {
  const std::string text =
      post("Authorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: 5\r\n",
           "hello");
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::string::npos}) {
    const Outcome outcome = parse(text, step);
    CHECK(!outcome.refused.has_value());
    CHECK(outcome.done);
    CHECK(outcome.keep_alive);
    CHECK(outcome.head.method == "POST");
    CHECK(outcome.head.target == "/v1/embeddings");
    CHECK(outcome.head.headers.value_of("authorization") == "Bearer k");
    CHECK(outcome.head.headers.value_of("content-type") == "application/json");
    CHECK(outcome.head.content_length == 5);
    CHECK(outcome.body == "hello");
  }
}

TEST_CASE("http: chunks are joined") {
  const std::string text =
      post("Transfer-Encoding: chunked\r\n", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::string::npos}) {
    const Outcome outcome = parse(text, step);
    CHECK(!outcome.refused.has_value());
    CHECK(outcome.done);
    CHECK(outcome.body == "hello");
    CHECK(outcome.head.has_body);
  }
}

TEST_CASE(
    "http: an empty chunked body is read, and a wrong end refused, whatever pieces it comes in") {
  const auto chunked = [](const std::string& body) {
    return post("Transfer-Encoding: chunked\r\n", body);
  };
  for (std::size_t step = 1; step < 8; ++step) {
    CHECK(parse(chunked("0\r\n\r\n"), step).done);
    CHECK(parse(chunked("00000\r\n\r\n"), step).done);
    CHECK(!parse(chunked("0\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), step).done);
  }
}

TEST_CASE("http: the next request on the connection is left alone") {
  const std::string next = "GET / HTTP/1.1\r\n";
  CHECK(parse(post("Content-Length: 2\r\n", "ab" + next)).left == next.size());
  CHECK(parse("GET / HTTP/1.1\r\nHost: h\r\n\r\n" + next).left == next.size());
}

TEST_CASE("http: two lengths, or a length beside a coding, are refused") {
  refuse(post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"));
  refuse(post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"));
  refuse(post("Content-Length: 5, 5\r\n", "hello"));
  refuse(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"));
  refuse(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"));
}

TEST_CASE("http: a length is digits and nothing else") {
  for (const char* length : {"+5", "-5", "0x5", "5 5", "", " ", "5.0", "5;", "1e1",
                             "18446744073709551616", "99999999999999999999"}) {
    refuse(post("Content-Length: " + std::string(length) + "\r\n", "hello"));
  }
}

TEST_CASE("http: no coding but chunked, and not in HTTP/1.0") {
  for (const char* coding : {"gzip", "gzip, chunked", "chunked, chunked", "chunked, gzip",
                             "identity", "xchunked", "chunked;q=1"}) {
    refuse(post("Transfer-Encoding: " + std::string(coding) + "\r\n", "0\r\n\r\n"));
  }
  refuse(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"));
  refuse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

TEST_CASE("http: chunks without extensions, trailers or odd sizes") {
  const auto chunked = [](const std::string& body) {
    return post("Transfer-Encoding: chunked\r\n", body);
  };
  refuse(chunked("2;x=y\r\nab\r\n0\r\n\r\n"));
  refuse(chunked("2\r\nab\r\n0\r\nX: y\r\n\r\n"));
  refuse(chunked("-2\r\nab\r\n0\r\n\r\n"));
  refuse(chunked("g\r\nab\r\n0\r\n\r\n"));
  refuse(chunked("2\r\nabc\r\n0\r\n\r\n"));
  refuse(chunked("2\nab\n0\n\n" + std::string(300, ' ')));
  refuse(chunked("ffffffffffffffffff\r\nab"));
  refuse(chunked(std::string(300, '0')));
}

TEST_CASE("http: a body beyond its bound is refused, however it is announced") {
  refuse(post("Content-Length: 65\r\n", std::string(65, 'x')), ErrorCode::kRequestTooLarge);
  refuse(post("Transfer-Encoding: chunked\r\n", "41\r\n" + std::string(65, 'x') + "\r\n0\r\n\r\n"),
         ErrorCode::kRequestTooLarge);
  CHECK(parse(post("Content-Length: 64\r\n", std::string(64, 'x'))).done);
}

TEST_CASE("http: headers beyond their bound are refused, whole or without an end") {
  refuse(post("X: " + std::string(1100, 'x') + "\r\n", ""), ErrorCode::kHeadersTooLarge);
  refuse("GET /" + std::string(1100, 'x'), ErrorCode::kHeadersTooLarge);
  std::string many;
  for (int i = 0; i < 200; ++i) many += "X: y\r\n";
  refuse(post(many, ""), ErrorCode::kHeadersTooLarge);
}

TEST_CASE("http: headers that decide something come once") {
  refuse(post("Host: other\r\n", ""));
  refuse(post("Authorization: a\r\nAuthorization: b\r\n", ""));
  refuse(post("X-Api-Key: a\r\nx-api-key: b\r\n", ""));
  refuse(post("Content-Type: a\r\nContent-Type: b\r\n", ""));
  refuse("GET / HTTP/1.1\r\n\r\n");
}

TEST_CASE("http: what is not HTTP/1.1 is refused") {
  refuse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  refuse("GET /\r\n\r\n");
  refuse("GET / HTTP/1.1\nHost: h\n\n\r\n\r\n");
  refuse("GET  / HTTP/1.1\r\nHost: h\r\n\r\n");
  refuse("GET / HTTP/1.1\r\nHost : h\r\n\r\n");
  refuse("GET / HTTP/1.1\r\nHo\x01st: h\r\n\r\n");
  refuse(std::string("GET / HTTP/1.1\r\nHost: h\r\nX: a") + '\0' + "z\r\n\r\n");
  refuse("\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03\x0d\x0a\x0d\x0a");
  refuse(post("Expect: something\r\n", ""));
}

TEST_CASE("http: after an error there is only the error") {
  RequestParser parser(kLimits);
  const std::string text = post("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\nX: y\r\n\r\n");
  const auto head = parser.feed(text);
  REQUIRE(head.has_value());
  parser.read_body();
  const std::string rest = text.substr(*head);
  for (int again = 0; again < 3; ++again) {
    CHECK(parser.feed(rest).error().code == ErrorCode::kRequestSyntax);
  }
  CHECK(!parser.done());
}

TEST_CASE("http: random and mutated requests never do more than fail") {
  std::mt19937 random(7);
  const std::string seeds[] = {
      post("Content-Length: 5\r\nContent-Type: application/json\r\n", "hello"),
      post("Transfer-Encoding: chunked\r\n", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")};
  for (int round = 0; round < 30'000; ++round) {
    std::string text = seeds[round % 2];
    for (int flips = 0; flips < 4; ++flips) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    text.resize(random() % (text.size() + 1));
    (void)parse(text, 1 + random() % 20);
  }
}
