// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/architectures.h"
#include "engine/tensors.h"
#include "engine/tiny_bert.h"

using namespace mlxguard;
using engine::test::FileMap;
using engine::test::model_of;

namespace {

ErrorCode code_of(const FileMap& files) {
  engine::test::require_runtime();
  const auto model = engine::load(model_of(files));
  REQUIRE(!model.has_value());
  return model.error().code;
}

}  // namespace

TEST_CASE("engine: tells the kind of a model by its files") {
  engine::test::require_runtime();
  const auto model = engine::load(model_of(engine::test::tiny_bert()));
  REQUIRE(model.has_value());
  CHECK((*model)->schema().kind == validate::ModelKind::kEmbedding);
  CHECK(code_of({{"model.safetensors", "{}"}}) == ErrorCode::kFormatUnknown);
  CHECK(code_of({{"model.gguf", "GGUF"}}) == ErrorCode::kFormatUnknown);
  CHECK(code_of({{"config.json", R"({"model_type":"llama"})"}}) == ErrorCode::kFormatUnknown);
  CHECK(code_of({{"config.json", "{}"}}) == ErrorCode::kConfigInvalid);
  CHECK(code_of({{"config.json", "nonsense"}}) == ErrorCode::kConfigInvalid);
  CHECK(code_of({{"mlxguard.json", "{}"}}) == ErrorCode::kManifestInvalid);
}

TEST_CASE("engine: every architecture has a name of its own and a meaning") {
  std::vector<std::string_view> names;
  for (const engine::ArchitectureRow& row : engine::architectures()) {
    CHECK(!row.meaning.empty());
    CHECK(std::find(names.begin(), names.end(), row.model_type) == names.end());
    names.push_back(row.model_type);
  }
  CHECK(names.size() >= 1);
}

TEST_CASE("engine: tensors of every type survive the way into mlx and back") {
  using validate::Dtype;
  for (const Dtype dtype :
       {Dtype::kBool, Dtype::kUint8, Dtype::kUint16, Dtype::kUint32, Dtype::kUint64, Dtype::kInt8,
        Dtype::kInt16, Dtype::kInt32, Dtype::kInt64, Dtype::kFp16, Dtype::kBf16, Dtype::kFp32,
        Dtype::kFp64}) {
    CAPTURE(std::string(validate::name_of(dtype)));
    validate::Tensor tensor{"t", dtype, {2, 3}, {}};
    for (std::size_t i = 0; i < 6 * validate::size_of(dtype); ++i) {
      tensor.data.push_back(static_cast<std::uint8_t>(i % 2));
    }
    const auto array = engine::to_array(tensor);
    CHECK(engine::from_mlx(array.dtype()) == dtype);
    const auto back = engine::to_tensor("t", array);
    REQUIRE(back.has_value());
    CHECK(back->dtype == dtype);
    CHECK(back->shape == tensor.shape);
    CHECK(back->data == tensor.data);
  }
}

TEST_CASE("engine: a tensor without elements and one without dimensions survive too") {
  const auto empty = engine::to_array({"t", validate::Dtype::kFp32, {0, 3}, {}});
  CHECK(engine::to_tensor("t", empty)->shape == validate::Shape{0, 3});
  const auto scalar = engine::to_array({"t", validate::Dtype::kInt8, {}, {7}});
  CHECK(engine::to_tensor("t", scalar)->data == std::vector<std::uint8_t>{7});
}
