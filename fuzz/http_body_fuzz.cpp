// SPDX-License-Identifier: Apache-2.0
// Request bodies, decoded as each protocol and as each type. The first byte chooses the type. What
// is accepted must hold what the types promise: sizes that fit shapes, finite numbers, clean texts.
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "validate/check.h"
#include "validate/decode_embeddings.h"
#include "validate/decode_infer.h"
#include "validate/text_rules.h"

namespace {

using namespace mlxguard;
using namespace mlxguard::validate;

constexpr int kDtypes = static_cast<int>(Dtype::kFp64) + 1;

ModelSchema schema_of(Dtype dtype) {
  ModelSchema schema;
  TensorSpec x{std::string("x"), dtype, {{0, 64}, {1, 4}}, {}, {}};
  if (dtype != Dtype::kBool) {
    x.value_min = -100;
    x.value_max = 100;
  }
  schema.inputs.push_back(x);
  schema.inputs.push_back({std::string("flag"), Dtype::kBool, {}, {}, {}});
  schema.outputs.push_back({std::string("y"), Dtype::kFp32, {{1, 1}}, {}, {}});
  return schema;
}

void tensors(std::string_view body, Dtype dtype) {
  const ModelSchema schema = schema_of(dtype);
  auto request = decode_infer_request(body, schema);
  if (!request) return;
  for (const Tensor& tensor : request->inputs) {
    const auto count = element_count(tensor.shape);
    MLXGUARD_CHECK(count.has_value());
    MLXGUARD_CHECK(tensor.data.size() == *count * size_of(tensor.dtype));
  }
  const auto checked = check_inputs(schema, std::move(request->inputs));
  if (!checked) return;
  MLXGUARD_CHECK(checked->tensors().size() == schema.inputs.size());
  const Tensor& x = checked->tensors()[0];
  MLXGUARD_CHECK(x.shape.size() == 2 && x.shape[0] <= 64 && x.shape[1] >= 1 && x.shape[1] <= 4);
  if (dtype != Dtype::kFp32) return;
  for (std::size_t at = 0; at < x.data.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, x.data.data() + at, sizeof(value));
    MLXGUARD_CHECK(std::fabs(value) <= 100.0f);
  }
}

void texts(std::string_view body) {
  const TextLimits limits{.texts_max = 8, .text_bytes_max = 256};
  std::vector<std::string> found;
  if (auto request = decode_embeddings_request(body, limits)) {
    found = std::move(request->texts);
  } else if (auto infer = decode_text_infer_request(body, limits)) {
    found = std::move(infer->texts);
  }
  const auto checked = check_texts(std::move(found), limits);
  if (!checked) return;
  for (const std::string& text : checked->texts()) {
    MLXGUARD_CHECK(!text.empty() && text.size() <= limits.text_bytes_max);
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      MLXGUARD_CHECK(byte >= 0x20 || byte == '\t' || byte == '\n' || byte == '\r');
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  tensors(body, static_cast<Dtype>(data[0] % kDtypes));
  texts(body);
  (void)ModelSchema::from_manifest(body);
  if (const auto schema = ModelSchema::from_wire(body)) {
    const auto again = ModelSchema::from_wire(schema->to_wire());
    MLXGUARD_CHECK(again.has_value() && again->to_wire() == schema->to_wire());
  }
  return 0;
}
