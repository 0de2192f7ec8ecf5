// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::mirror;

TEST_CASE("exchange: one range is served, one outside refused, what is not understood ignored") {
  const auto part = [](std::uint64_t offset, std::uint64_t length) {
    return Range{Range::Kind::kPart, offset, length};
  };
  CHECK(parse_range("bytes=0-0", 10) == part(0, 1));
  CHECK(parse_range("bytes=2-", 10) == part(2, 8));
  CHECK(parse_range("bytes=-3", 10) == part(7, 3));
  CHECK(parse_range("bytes=-30", 10) == part(0, 10));
  CHECK(parse_range("bytes=5-99", 10) == part(5, 5));
  for (const char* outside : {"bytes=10-", "bytes=10-12", "bytes=-0"}) {
    CAPTURE(outside);
    CHECK(parse_range(outside, 10).kind == Range::Kind::kUnsatisfiable);
  }
  CHECK(parse_range("bytes=0-0", 0).kind == Range::Kind::kUnsatisfiable);
  for (const char* ignored : {"bytes=5-4", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "",
                              "bytes=99999999999999999999-", "bytes=--1"}) {
    CAPTURE(ignored);
    CHECK(parse_range(ignored, 10).kind == Range::Kind::kWhole);
  }
}

TEST_CASE("exchange: an entity tag is found in a list, weak or any") {
  for (const char* header : {"\"a\"", "W/\"a\"", "\"b\", \"a\"", "*", " \"a\" "}) {
    CAPTURE(header);
    CHECK(names_etag(header, "\"a\""));
  }
  for (const char* header : {"", "a", "\"b\"", ",", "\"a", "W/"}) {
    CAPTURE(header);
    CHECK_FALSE(names_etag(header, "\"a\""));
  }
}

TEST_CASE("exchange: nothing in a reason can end the status line") {
  const Answer answer =
      problem(403, make_error(ErrorCode::kMirrorBlocked, "bad\r\nSet-Cookie: x\xc3\xa9"));
  const http::ResponseHead head = head_of(answer);
  CHECK(head.status == 403);
  CHECK(head.reason == "mlxguard: bad??Set-Cookie: x??");
  CHECK(head.headers.find("X-Mlxguard-Code") == "mirror.blocked");
  CHECK(reason_phrase(std::string(1000, 'x')).size() == 300);
}

TEST_CASE("exchange: each refusal has its status") {
  const auto status = [](ErrorCode code) { return status_of(make_error(code, "")); };
  CHECK(status(ErrorCode::kMirrorBlocked) == 403);
  CHECK(status(ErrorCode::kMirrorNotAllowed) == 403);
  CHECK(status(ErrorCode::kMirrorHeld) == 423);
  CHECK(status(ErrorCode::kMirrorDigest) == 502);
  CHECK(status(ErrorCode::kMirrorUpstream) == 502);
  CHECK(status(ErrorCode::kNotFound) == 404);
  CHECK(status(ErrorCode::kLogWrite) == 503);
}
