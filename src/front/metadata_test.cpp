// SPDX-License-Identifier: Apache-2.0
#include "front/metadata.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::front;
using validate::Dtype;

TEST_CASE("metadata: metadata says -1 for what may vary") {
  validate::ModelSchema schema;
  schema.inputs.push_back(
      {std::string("x"), Dtype::kInt64, {{1, 64}, {16, 16}}, std::nullopt, std::nullopt});
  Model model;
  model.name = "m";
  model.schema = std::make_shared<const validate::ModelSchema>(schema);
  const std::string body = model_metadata_body(model);
  CHECK(body.find(R"({"name":"x","datatype":"INT64","shape":[-1,16]})") != std::string::npos);
  schema.kind = validate::ModelKind::kEmbedding;
  schema.embedding_dimension = 384;
  model.schema = std::make_shared<const validate::ModelSchema>(schema);
  CHECK(model_metadata_body(model).find(R"("datatype":"BYTES","shape":[-1])") != std::string::npos);
  CHECK(model_metadata_body(model).find("[-1,384]") != std::string::npos);
}
