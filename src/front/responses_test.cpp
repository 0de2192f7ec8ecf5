// SPDX-License-Identifier: Apache-2.0
#include "front/responses.h"

#include <doctest/doctest.h>

#include "codec/json.h"

using namespace mlxguard;
using namespace mlxguard::front;

namespace {

codec::JsonDocument parsed(const Response& response) {
  return codec::JsonDocument::parse(response.body).value();
}
std::string text_at(const codec::JsonValue& object, std::string_view key) {
  return std::string(object.member(key).value().as_string().value());
}

}  // namespace

TEST_CASE("responses: OpenAI's form of an error") {
  const Response response = error_response(
      Protocol::kOpenAi, make_error(ErrorCode::kRequestType, "expected a string").about("input"));
  CHECK(response.status == 400);
  const auto document = parsed(response);
  const auto error = document.root().member("error").value();
  CHECK(text_at(error, "message") == "expected a string");
  CHECK(text_at(error, "type") == "invalid_request_error");
  CHECK(text_at(error, "param") == "input");
  CHECK(text_at(error, "code") == "request.type");
}

TEST_CASE("responses: the inference protocol's form has one member, with the code in it") {
  const Response response = error_response(
      Protocol::kInference, make_error(ErrorCode::kRequestShape, "expected [1]").about("x"));
  const auto document = parsed(response);
  CHECK(document.root().size() == 1);
  CHECK(text_at(document.root(), "error") == "x: expected [1] [request.shape]");
}

TEST_CASE("responses: a fault of ours tells its meaning, not its message") {
  for (const Protocol protocol : {Protocol::kOpenAi, Protocol::kInference}) {
    const Response response = error_response(
        protocol, make_error(ErrorCode::kIo, "open /secret/path: denied").about("/secret/path"));
    CHECK(response.status == 500);
    CHECK(response.body.find("secret") == std::string::npos);
    CHECK(response.body.find("io.failed") != std::string::npos);
  }
}

TEST_CASE("responses: statuses of codes") {
  CHECK(status_of(ErrorCode::kJsonSyntax) == 400);
  CHECK(status_of(ErrorCode::kCredentialsInvalid) == 401);
  CHECK(status_of(ErrorCode::kModelUnknown) == 404);
  CHECK(status_of(ErrorCode::kMethodNotAllowed) == 405);
  CHECK(status_of(ErrorCode::kRequestTimeout) == 408);
  CHECK(status_of(ErrorCode::kLengthRequired) == 411);
  CHECK(status_of(ErrorCode::kRequestTooLarge) == 413);
  CHECK(status_of(ErrorCode::kMediaTypeUnsupported) == 415);
  CHECK(status_of(ErrorCode::kRateLimited) == 429);
  CHECK(status_of(ErrorCode::kHeadersTooLarge) == 431);
  CHECK(status_of(ErrorCode::kOutputInvalid) == 500);
  CHECK(status_of(ErrorCode::kWorkerDied) == 503);
  CHECK(status_of(ErrorCode::kDeadline) == 504);
}

TEST_CASE("responses: 429 and 503 say when to come back, and only they do") {
  const auto retry = [](ErrorCode code, std::int64_t seconds) {
    return error_response(Protocol::kOpenAi, make_error(code, ""), seconds).retry_after_seconds;
  };
  CHECK(retry(ErrorCode::kRateLimited, 0) == 1);
  CHECK(retry(ErrorCode::kWorkerDied, 7) == 7);
  CHECK(retry(ErrorCode::kRequestShape, 7) == 0);
  const Response full = error_response(Protocol::kOpenAi, make_error(ErrorCode::kQueueFull, ""), 3);
  CHECK(head_of(full, "").headers.find("Retry-After") == "3");
}

TEST_CASE("responses: heads are whole and say what they must") {
  Response response = error_response(
      Protocol::kOpenAi, make_error(ErrorCode::kMethodNotAllowed, "").compared("GET", ""));
  http::ResponseHead head = head_of(response, "0123");
  CHECK(head.status == 405);
  CHECK(head.headers.find("Allow") == "GET");
  CHECK(head.headers.find("X-Request-Id") == "0123");
  CHECK(head.headers.find("X-Mlxguard-Code") == "request.method");
  response = error_response(Protocol::kOpenAi, make_error(ErrorCode::kUnauthenticated, ""));
  head = head_of(response, "");
  CHECK(head.headers.value_of("WWW-Authenticate").starts_with("Bearer"));
  CHECK_FALSE(head.headers.has("X-Request-Id"));
}

TEST_CASE("responses: no word of a worker reaches a client, whatever code it uses") {
#define MLXGUARD_CODE(number, enumerator, name, exit_class, meaning) ErrorCode::enumerator,
  constexpr ErrorCode kAll[] = {MLXGUARD_ERROR_TABLE(MLXGUARD_CODE)};
#undef MLXGUARD_CODE
  for (const ErrorCode code : kAll) {
    for (const Protocol protocol : {Protocol::kOpenAi, Protocol::kInference}) {
      const Error error = client_error(call::WorkerError(code, "SECRET /var/lib/model"));
      const Response response = error_response(protocol, error, 1);
      CAPTURE(std::string(name_of(code)));
      CHECK(response.body.find("SECRET") == std::string::npos);
      CHECK(response.body.find(std::string(describe(error.code).meaning)) != std::string::npos);
      for (const http::Header& header : head_of(response, "1").headers) {
        CHECK(header.value.find("SECRET") == std::string::npos);
      }
      // Nor can it speak for the gateway: of keys, models, routes, or its load.
      const int status = response.status;
      CHECK((status == 400 || status == 413 || status == 500 || status == 504));
      CHECK(response.retry_after_seconds == 0);
    }
  }
}
