// SPDX-License-Identifier: Apache-2.0
// ModelSchema: what a model takes and gives, from its signed manifest (mlxguard.json) or from its
// engine. The gateway validates requests against it, the worker checks again before mlx.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "validate/tensor.h"

namespace mlxguard::validate {

/// An allowed extent: fixed when min == max. 0 <= min <= max <= limits::kTensorDimensionMax.
struct Dimension {
  std::int64_t min = 1;
  std::int64_t max = 1;
  [[nodiscard]] bool fixed() const { return min == max; }
};

struct TensorSpec {
  std::string name;
  Dtype dtype = Dtype::kFp32;
  std::vector<Dimension> shape;
  std::optional<double> value_min;  ///< inclusive; for token ids: 0
  std::optional<double> value_max;  ///< inclusive; for token ids: vocabulary size - 1
};

enum class ModelKind : std::uint8_t {
  kEmbedding,  ///< text in, one vector a text out; /v1/embeddings
  kFunction,   ///< tensors in, tensors out; /v2/models/NAME/infer
};

struct ModelSchema {
  ModelKind kind = ModelKind::kFunction;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  // kEmbedding only
  std::int64_t embedding_dimension = 0;
  std::int64_t tokens_max = 0;  ///< longer texts are truncated by the tokenizer

  /// Parses mlxguard.json:
  ///   {"format": "mlxguard.function/1", "function": "model.mlxfn",
  ///    "inputs":  [{"name": "x", "datatype": "FP32", "shape": [{"min": 1, "max": 64}, 16],
  ///                 "min": -10.0, "max": 10.0}],
  ///    "outputs": [{"name": "y", "datatype": "FP32", "shape": [{"min": 1, "max": 64}, 4]}]}
  /// Errors: kManifestInvalid, naming the member. Strict: unknown members are refused.
  [[nodiscard]] static Result<ModelSchema> from_manifest(std::string_view json);
  /// The "function" member of the same file: a plain file name inside the model.
  [[nodiscard]] static Result<std::string> function_of_manifest(std::string_view json);

  /// For ipc: JSON that from_wire reads back equal.
  [[nodiscard]] std::string to_wire() const;
  [[nodiscard]] static Result<ModelSchema> from_wire(std::string_view json);
};

}  // namespace mlxguard::validate
