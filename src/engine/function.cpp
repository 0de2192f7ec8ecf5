// SPDX-License-Identifier: Apache-2.0
#include "engine/function.h"

#include <mlx/export.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/limits.h"
#include "engine/mlx_guard.h"
#include "engine/model_file.h"
#include "engine/open_gate.h"
#include "engine/tensors.h"
#include "format/mlxfn.h"

namespace mlxguard::engine {
namespace {

namespace mx = mlx::core;

Result<mx::ImportedFunction> import_verified(const ModelFile& file) {
  MLXGUARD_TRY(format::check_mlxfn(file.bytes()));
  MLXGUARD_TRY_ASSIGN(const OpenGate gate, OpenGate::admit(file.bytes()));
  return stop_exceptions(ErrorCode::kEngineLoad, [&]() -> Result<mx::ImportedFunction> {
    return mx::import_function(OpenGate::path());
  });
}

template <class T>
void fill(std::vector<std::uint8_t>& data, T value) {
  for (std::size_t at = 0; at < data.size(); at += sizeof(T)) {
    std::memcpy(data.data() + at, &value, sizeof(T));
  }
}

void fill(validate::Tensor& tensor, double value) {
  const double whole = value > 0 ? std::ceil(value) : std::floor(value);
  const auto single = static_cast<float>(value);
  switch (tensor.dtype) {
    case validate::Dtype::kBool:
    case validate::Dtype::kUint8:
      return fill(tensor.data, static_cast<std::uint8_t>(whole));
    case validate::Dtype::kUint16:
      return fill(tensor.data, static_cast<std::uint16_t>(whole));
    case validate::Dtype::kUint32:
      return fill(tensor.data, static_cast<std::uint32_t>(whole));
    case validate::Dtype::kUint64:
      return fill(tensor.data, static_cast<std::uint64_t>(whole));
    case validate::Dtype::kInt8:
      return fill(tensor.data, static_cast<std::int8_t>(whole));
    case validate::Dtype::kInt16:
      return fill(tensor.data, static_cast<std::int16_t>(whole));
    case validate::Dtype::kInt32:
      return fill(tensor.data, static_cast<std::int32_t>(whole));
    case validate::Dtype::kInt64:
      return fill(tensor.data, static_cast<std::int64_t>(whole));
    case validate::Dtype::kFp16:
      return fill(tensor.data, static_cast<mx::float16_t>(single));
    case validate::Dtype::kBf16:
      return fill(tensor.data, static_cast<mx::bfloat16_t>(single));
    case validate::Dtype::kFp32:
      return fill(tensor.data, single);
    case validate::Dtype::kFp64:
      return fill(tensor.data, value);
  }
  MLXGUARD_CHECK(false);
}

/// The smallest tensor that is not empty, of the allowed value nearest to 0.
Result<validate::Tensor> smallest(const validate::TensorSpec& spec) {
  validate::Tensor tensor;
  tensor.name = spec.name;
  tensor.dtype = spec.dtype;
  for (const validate::Dimension& dimension : spec.shape) {
    tensor.shape.push_back(std::clamp<std::int64_t>(1, dimension.min, dimension.max));
  }
  MLXGUARD_TRY_ASSIGN(const std::uint64_t count, validate::element_count(tensor.shape));
  tensor.data.resize(count * validate::size_of(spec.dtype));
  double value = 0;
  if (spec.value_min) value = std::max(value, *spec.value_min);
  if (spec.value_max) value = std::min(value, *spec.value_max);
  fill(tensor, value);
  return tensor;
}

class FunctionModel final : public Model {
 public:
  FunctionModel(validate::ModelSchema schema, mx::ImportedFunction function)
      : schema_(std::move(schema)), function_(std::move(function)) {}

  [[nodiscard]] const validate::ModelSchema& schema() const override { return schema_; }

  [[nodiscard]] Result<std::vector<validate::Tensor>> run(
      validate::ValidatedInputs inputs) override {
    MLXGUARD_TRY_ASSIGN(auto outputs, call(inputs));
    MLXGUARD_TRY(validate::check_outputs(schema_, outputs));
    return outputs;
  }

  /// One call with the smallest inputs: where manifest and function disagree shows now, not at the
  /// first client's request, and mlx reads the constants that it needs. Values are not judged: a
  /// logarithm of zeros is no fault of the model.
  [[nodiscard]] Result<void> try_once() const {
    const auto tried = call_smallest();
    if (tried) return {};
    Error error = tried.error();
    error.code = ErrorCode::kManifestInvalid;
    return std::move(error).with("calling the function as its manifest says");
  }

 private:
  [[nodiscard]] Result<void> call_smallest() const {
    std::vector<validate::Tensor> tensors;
    for (const validate::TensorSpec& spec : schema_.inputs) {
      MLXGUARD_TRY_ASSIGN(auto tensor, smallest(spec));
      tensors.push_back(std::move(tensor));
    }
    MLXGUARD_TRY_ASSIGN(auto inputs, validate::check_inputs(schema_, std::move(tensors)));
    MLXGUARD_TRY_ASSIGN(auto outputs, call(inputs));
    validate::ModelSchema without_values = schema_;
    for (validate::TensorSpec& spec : without_values.outputs) {
      spec.value_min.reset();
      spec.value_max.reset();
    }
    for (validate::Tensor& output : outputs) std::fill(output.data.begin(), output.data.end(), 0);
    return validate::check_outputs(without_values, outputs);
  }

  /// Outputs are named by the schema, in order; nothing else about them is checked.
  [[nodiscard]] Result<std::vector<validate::Tensor>> call(
      const validate::ValidatedInputs& inputs) const {
    MLXGUARD_TRY_ASSIGN(const std::vector<mx::array> arrays, evaluate(inputs));
    if (arrays.size() != schema_.outputs.size()) {
      return make_error(ErrorCode::kOutputInvalid, "the function gives another number of outputs")
          .compared(std::to_string(schema_.outputs.size()), std::to_string(arrays.size()));
    }
    std::vector<validate::Tensor> outputs;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      MLXGUARD_TRY_ASSIGN(auto tensor, to_tensor(schema_.outputs[i].name, arrays[i]));
      outputs.push_back(std::move(tensor));
    }
    return outputs;
  }

  [[nodiscard]] Result<std::vector<mx::array>> evaluate(
      const validate::ValidatedInputs& inputs) const {
    return stop_exceptions(ErrorCode::kEngineRun, [&]() -> Result<std::vector<mx::array>> {
      mx::Args arguments;
      for (const validate::Tensor& tensor : inputs.tensors()) {
        arguments.push_back(to_array(tensor));
      }
      std::vector<mx::array> outputs = function_(arguments);
      for (mx::array& output : outputs) output = mx::contiguous(output);
      mx::eval(outputs);
      return outputs;
    });
  }

  validate::ModelSchema schema_;
  mx::ImportedFunction function_;
};

}  // namespace

Result<std::unique_ptr<Model>> load_function(const signature::VerifiedModel& model) {
  MLXGUARD_TRY_ASSIGN(const auto manifest,
                      map_file(model, kFunctionManifestName, limits::kConfigBytesMax));
  const std::string_view text = as_text(manifest->bytes());
  MLXGUARD_TRY_ASSIGN(auto schema, validate::ModelSchema::from_manifest(text));
  MLXGUARD_TRY_ASSIGN(const std::string name, validate::ModelSchema::function_of_manifest(text));
  const artifact::SnapshotFile* snapshot = model.find(name);
  if (snapshot == nullptr) {
    return make_error(ErrorCode::kManifestInvalid, "the model lacks the function it names")
        .about(name);
  }
  MLXGUARD_TRY_ASSIGN(const auto file, ModelFile::map(*snapshot, limits::kModelBytesMax));
  MLXGUARD_TRY_ASSIGN(auto function, import_verified(*file));
  auto loaded = std::make_unique<FunctionModel>(std::move(schema), std::move(function));
  MLXGUARD_TRY(loaded->try_once());
  return std::unique_ptr<Model>(std::move(loaded));
}

}  // namespace mlxguard::engine
