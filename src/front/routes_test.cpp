// SPDX-License-Identifier: Apache-2.0
#include "front/routes.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace mlxguard;
using namespace mlxguard::front;

namespace {

const Router& router() {
  static const Router made(task::table());
  return made;
}

Purpose purpose_of(std::string_view method, std::string_view target) {
  return router().find(method, target).value().route->purpose;
}
ErrorCode refusal(std::string_view method, std::string_view target) {
  const auto match = router().find(method, target);
  INFO(target);
  REQUIRE(!match.has_value());
  return match.error().code;
}

}  // namespace

TEST_CASE("routes: each path finds its row") {
  CHECK(purpose_of("GET", "/healthz") == Purpose::kAlive);
  CHECK(purpose_of("GET", "/v1/models") == Purpose::kOpenAiModels);
  CHECK(purpose_of("GET", "/v1/models?limit=3") == Purpose::kOpenAiModels);
  CHECK(purpose_of("POST", "/v1/embeddings") == Purpose::kTask);
  CHECK(purpose_of("POST", "/v2/models/a/infer") == Purpose::kTask);
  CHECK(purpose_of("GET", "/v2") == Purpose::kServerMetadata);
  CHECK(purpose_of("GET", "/v2/health/ready") == Purpose::kReady);
  CHECK(router().find("GET", "/v2/models/a").value().model == "a");
  CHECK(router().find("POST", "/v2/models/a.b-c_1/infer").value().model == "a.b-c_1");
  CHECK(router().find("POST", "/v2/models/a/versions/1/infer").value().model == "a");
  CHECK(router().find("GET", "/v1/models/%6din%69lm").value().model == "minilm");
}

TEST_CASE("routes: what is almost a path is none") {
  for (const char* target : {"",
                             "*",
                             "/",
                             "//",
                             "/v1",
                             "/v1/",
                             "/v1/models/",
                             "/v1/embeddings/",
                             "/v1//embeddings",
                             "/V1/embeddings",
                             "/v1/embeddings/x",
                             "/v2/models/a/versions/2",
                             "/v2/models//ready",
                             "/v2/health",
                             "http://host/v1/models",
                             "/../v1/models",
                             "/v1/models/a/../b",
                             "/healthz/",
                             "/v1/models/%zz",
                             "/v1/models/%6",
                             "/v2/models"}) {
    CHECK(refusal("GET", target) == ErrorCode::kRouteUnknown);
  }
}

TEST_CASE("routes: another method is refused with those that are taken") {
  for (const char* method :
       {"POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "FETCH"}) {
    CHECK(refusal(method, "/v1/models") == ErrorCode::kMethodNotAllowed);
  }
  CHECK(router().find("GET", "/v1/embeddings").error().expected == "POST");
  CHECK(router().find("HEAD", "/v1/models").error().expected == "GET");
}

TEST_CASE("routes: only liveness and readiness are open, every row of the table else needs a key") {
  for (const Route& route : router().routes()) {
    const bool probe = route.purpose == Purpose::kAlive || route.purpose == Purpose::kReady;
    CHECK((route.access == Access::kOpen) == probe);
    CHECK((route.protocol == Protocol::kInference) == route.pattern.starts_with("/v2"));
  }
}

TEST_CASE("routes: errors below /v2 take the inference protocol's form") {
  CHECK(protocol_of("/v2") == Protocol::kInference);
  CHECK(protocol_of("/v2/nothing") == Protocol::kInference);
  CHECK(protocol_of("/v2?x") == Protocol::kInference);
  CHECK(protocol_of("/v22") == Protocol::kOpenAi);
  CHECK(protocol_of("/v1/embeddings") == Protocol::kOpenAi);
  CHECK(protocol_of("") == Protocol::kOpenAi);
}
