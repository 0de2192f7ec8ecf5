// SPDX-License-Identifier: Apache-2.0
#include "validate/schema.h"

#include <doctest/doctest.h>

#include <string>

using namespace mlxguard;
using namespace mlxguard::validate;

namespace {

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), by);
}

const std::string kManifest = R"({
  "format": "mlxguard.function/1", "function": "model.mlxfn",
  "inputs":  [{"name": "x", "datatype": "FP32", "shape": [{"min": 1, "max": 64}, 16],
               "min": -10.0, "max": 10.5},
              {"name": "ids", "datatype": "INT64", "shape": [8], "min": 0, "max": 30521}],
  "outputs": [{"name": "y", "datatype": "FP32", "shape": [{"min": 1, "max": 64}, 4]}]
})";

void refuse(const std::string& manifest, const std::string& subject) {
  const auto schema = ModelSchema::from_manifest(manifest);
  REQUIRE(!schema.has_value());
  CHECK(schema.error().code == ErrorCode::kManifestInvalid);
  CHECK(schema.error().subject == subject);
}

}  // namespace

TEST_CASE("schema: reads a manifest") {
  const auto schema = ModelSchema::from_manifest(kManifest);
  REQUIRE(schema.has_value());
  CHECK(schema->kind == ModelKind::kFunction);
  REQUIRE(schema->inputs.size() == 2);
  const TensorSpec& x = schema->inputs[0];
  CHECK(x.name == "x");
  CHECK(x.dtype == Dtype::kFp32);
  REQUIRE(x.shape.size() == 2);
  CHECK(x.shape[0].min == 1);
  CHECK(x.shape[0].max == 64);
  CHECK(x.shape[1].fixed());
  CHECK(x.shape[1].min == 16);
  CHECK(x.value_min == -10.0);
  CHECK(x.value_max == 10.5);
  CHECK(schema->inputs[1].value_max == 30521.0);
  CHECK(schema->outputs[0].name == "y");
  CHECK(!schema->outputs[0].value_min.has_value());
  CHECK(ModelSchema::function_of_manifest(kManifest).value() == "model.mlxfn");
}

TEST_CASE("schema: names the member that is wrong") {
  refuse("[]", "");
  refuse("{", "");
  refuse(replaced(kManifest, "mlxguard.function/1", "mlxguard.function/2"), "format");
  refuse(replaced(kManifest, "\"function\": \"model.mlxfn\",", ""), "function");
  refuse(replaced(kManifest, "\"x\"", "\"\""), "inputs[0].name");
  refuse(replaced(kManifest, "\"x\"", "\"a\\u0007\""), "inputs[0].name");
  refuse(replaced(kManifest, "\"ids\"", "\"x\""), "inputs[1]");
  refuse(replaced(kManifest, "\"FP32\"", "\"BYTES\""), "inputs[0].datatype");
  refuse(replaced(kManifest, "\"FP32\"", "32"), "inputs[0].datatype");
  refuse(replaced(kManifest, "{\"min\": 1, \"max\": 64}", "-1"), "inputs[0].shape[0]");
  refuse(replaced(kManifest, "{\"min\": 1, \"max\": 64}", "2147483648"), "inputs[0].shape[0]");
  refuse(replaced(kManifest, "{\"min\": 1, \"max\": 64}", "1.5"), "inputs[0].shape[0]");
  refuse(replaced(kManifest, "{\"min\": 1, \"max\": 64}", "null"), "inputs[0].shape[0]");
  refuse(replaced(kManifest, "{\"min\": 1, \"max\": 64}", "{\"min\": 65, \"max\": 64}"),
         "inputs[0].shape[0].max");
  refuse(replaced(kManifest, "{\"min\": 1, \"max\": 64}", "{\"min\": 1}"),
         "inputs[0].shape[0].max");
  refuse(replaced(kManifest, "[8]", "[1,1,1,1,1,1,1,1,1]"), "inputs[1].shape");
  refuse(replaced(kManifest, "[8]", "8"), "inputs[1].shape");
  refuse(replaced(kManifest, "-10.0", "11"), "inputs[0]");
  refuse(replaced(kManifest, "-10.0", "\"low\""), "inputs[0].min");
  refuse(replaced(kManifest, "30521", "0.5"), "inputs[1].max");
  refuse(replaced(kManifest, "\"name\": \"y\",", ""), "outputs[0].name");
}

TEST_CASE("schema: refuses members it does not know, at every level") {
  refuse(replaced(kManifest, "\"function\":", "\"extra\": 1, \"function\":"), "");
  refuse(replaced(kManifest, "\"min\": -10.0", "\"minimum\": -10.0"), "inputs[0]");
  refuse(replaced(kManifest, "\"min\": 1,", "\"low\": 0, \"min\": 1,"), "inputs[0].shape[0]");
  refuse(replaced(kManifest, "\"format\"", "\"format\": \"a\", \"format\""), "format");
}

TEST_CASE("schema: refuses a model without inputs or outputs") {
  refuse(R"({"format":"mlxguard.function/1","function":"f","inputs":[],"outputs":[]})", "inputs");
  refuse(R"({"format":"mlxguard.function/1","function":"f",
             "inputs":[{"name":"x","datatype":"FP32","shape":[]}],"outputs":[]})",
         "outputs");
}

TEST_CASE("schema: refuses a bound that a double cannot hold, since rounding would move it") {
  refuse(replaced(kManifest, "30521", "9007199254740993"), "inputs[1].max");
  refuse(replaced(kManifest, "30521", "9223372036854775807"), "inputs[1].max");
  CHECK(ModelSchema::from_manifest(replaced(kManifest, "30521", "9007199254740992")).has_value());
  CHECK(
      ModelSchema::from_manifest(replaced(kManifest, "30521", "9223372036854775808")).has_value());
}

TEST_CASE("schema: refuses a range on booleans") {
  refuse(replaced(kManifest, "INT64", "BOOL"), "inputs[1]");
}

TEST_CASE("schema: the function is a plain name, never a path") {
  for (const char* name :
       {"", ".", "..", "../model.mlxfn", "/model.mlxfn", "a/b", "a\\\\b", "a\\u0000b"}) {
    const auto function =
        ModelSchema::function_of_manifest(replaced(kManifest, "model.mlxfn", name));
    REQUIRE(!function.has_value());
    CHECK(function.error().code == ErrorCode::kManifestInvalid);
    CHECK(function.error().subject == "function");
  }
}

TEST_CASE("schema: what goes over the wire comes back equal") {
  const ModelSchema schema = ModelSchema::from_manifest(kManifest).value();
  const ModelSchema back = ModelSchema::from_wire(schema.to_wire()).value();
  CHECK(back.to_wire() == schema.to_wire());
  CHECK(back.inputs[0].value_max == 10.5);
  CHECK(back.inputs[1].shape[0].min == 8);

  ModelSchema embedding;
  embedding.kind = ModelKind::kEmbedding;
  embedding.embedding_dimension = 384;
  embedding.tokens_max = 256;
  const ModelSchema embedding_back = ModelSchema::from_wire(embedding.to_wire()).value();
  CHECK(embedding_back.kind == ModelKind::kEmbedding);
  CHECK(embedding_back.embedding_dimension == 384);
  CHECK(embedding_back.tokens_max == 256);
}

TEST_CASE("schema: a worker's malformed schema is an error of the protocol") {
  for (const char* text : {"", "{}", "[]", R"({"kind":"chat","inputs":[],"outputs":[]})",
                           R"({"kind":"embedding","inputs":[],"outputs":[]})",
                           R"({"kind":"embedding","inputs":[],"outputs":[],
                               "embedding_dimension":0,"tokens_max":1})",
                           R"({"kind":"function","inputs":[],"outputs":[],"more":1})"}) {
    const auto schema = ModelSchema::from_wire(text);
    REQUIRE(!schema.has_value());
    CHECK(schema.error().code == ErrorCode::kWorkerProtocol);
  }
}
