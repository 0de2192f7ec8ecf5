// SPDX-License-Identifier: Apache-2.0
#include "validate/decode_embeddings.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::validate;

namespace {

const TextLimits kLimits{.texts_max = 3, .text_bytes_max = 100};

void refuse(std::string_view body, ErrorCode code, std::string_view subject = {}) {
  const auto request = decode_embeddings_request(body, kLimits);
  INFO(body);
  REQUIRE(!request.has_value());
  CHECK(request.error().code == code);
  CHECK(request.error().subject == subject);
  CHECK(request.error().message.find("SECRET") == std::string::npos);
}

}  // namespace

TEST_CASE("embeddings: reads what OpenAI's clients send") {
  const auto one = decode_embeddings_request(
      R"({"model":"m","input":"hello","encoding_format":"base64","user":"u","dimensions":384})",
      kLimits);
  REQUIRE(one.has_value());
  CHECK(one->model == "m");
  CHECK(one->texts == std::vector<std::string>{"hello"});
  CHECK(one->encoding_format == EncodingFormat::kBase64);
  CHECK(one->dimensions == 384);
  const auto two = decode_embeddings_request(R"({"input":["a","b"],"model":"m"})", kLimits);
  REQUIRE(two.has_value());
  CHECK(two->texts == std::vector<std::string>{"a", "b"});
  CHECK(two->encoding_format == EncodingFormat::kFloat);
  CHECK(!two->dimensions.has_value());
}

TEST_CASE("embeddings: refuses what is not JSON, each with its code") {
  refuse("", ErrorCode::kJsonSyntax);
  refuse("{", ErrorCode::kJsonSyntax);
  refuse(R"({"model":"m","input":"SECRET"} x)", ErrorCode::kJsonSyntax);
  refuse(R"({"model":"m","input":NaN})", ErrorCode::kJsonSyntax);
  refuse(R"({"model":"m","model":"SECRET","input":"a"})", ErrorCode::kJsonDuplicateKey);
  refuse("{\"model\":\"m\",\"input\":\"\xff\"}", ErrorCode::kUtf8);
  refuse("{\"model\":\"m\",\"input\":" + std::string(100, '[') + std::string(100, ']') + "}",
         ErrorCode::kJsonDepth);
  refuse("[]", ErrorCode::kRequestSyntax);
  refuse("\"SECRET\"", ErrorCode::kRequestSyntax);
}

TEST_CASE("embeddings: members are known, present and of their type") {
  refuse(R"({"input":"a"})", ErrorCode::kRequestMissing, "model");
  refuse(R"({"model":"m"})", ErrorCode::kRequestMissing, "input");
  refuse(R"({"model":"m","input":"a","SECRET":1})", ErrorCode::kRequestUnknown);
  refuse(R"({"model":1,"input":"a"})", ErrorCode::kRequestType, "model");
  refuse(R"({"model":"m","input":null})", ErrorCode::kRequestType, "input");
  refuse(R"({"model":"m","input":{"text":"SECRET"}})", ErrorCode::kRequestType, "input");
  refuse(R"({"model":"m","input":["a",null]})", ErrorCode::kRequestType, "input");
  refuse(R"({"model":"m","input":["a"],"user":5})", ErrorCode::kRequestType, "user");
  refuse(R"({"model":"m","input":"a","encoding_format":"SECRET"})", ErrorCode::kRequestRange,
         "encoding_format");
  refuse(R"({"model":"m","input":"a","encoding_format":null})", ErrorCode::kRequestType,
         "encoding_format");
  refuse(R"({"model":"m","input":"a","dimensions":3.5})", ErrorCode::kRequestType, "dimensions");
  refuse(R"({"model":"m","input":"a","dimensions":"3"})", ErrorCode::kRequestType, "dimensions");
}

TEST_CASE("embeddings: arrays of tokens are refused with a word of help") {
  refuse(R"({"model":"m","input":[1,2,3]})", ErrorCode::kRequestType, "input");
  refuse(R"({"model":"m","input":[[1,2],[3]]})", ErrorCode::kRequestType, "input");
  const auto tokens = decode_embeddings_request(R"({"model":"m","input":[1]})", kLimits);
  CHECK(tokens.error().message.find("send text") != std::string::npos);
}

TEST_CASE("embeddings: no more texts than allowed, no endless name") {
  refuse(R"({"model":"m","input":["a","b","c","d"]})", ErrorCode::kRequestTooLarge, "input");
  refuse(R"({"input":"a","model":")" + std::string(129, 'm') + "\"}", ErrorCode::kModelUnknown,
         "model");
}
