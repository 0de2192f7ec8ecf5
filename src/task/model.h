// SPDX-License-Identifier: Apache-2.0
// Model: a loaded model as the tasks see it, in the worker. engine/ implements it over mlx; the
// tasks' steps ask for nothing more. A model offers what its kind can do and refuses the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "validate/check.h"
#include "validate/schema.h"

namespace mlxguard::task {

/// Vectors of texts, one row a text, in the order of the texts.
struct Vectors {
  std::size_t dimension = 0;
  std::vector<float> values;                ///< row-major: texts * dimension, all finite
  std::vector<std::uint32_t> token_counts;  ///< after truncation, special tokens included
  std::vector<std::uint8_t> truncated;      ///< 1 where the text had more tokens than are taken
};

/// An embedding on its way, one batch after another. Destroying it gives it up.
class Embedding {
 public:
  virtual ~Embedding() = default;
  /// Computes one more batch; true when all are done. Errors: kTextInvalid (with the text's
  /// position as subject), kTokenizer, kEngineRun, kOutputInvalid.
  [[nodiscard]] virtual Result<bool> step() = 0;
  /// What was computed; once, when step() has given true.
  [[nodiscard]] virtual Vectors take() = 0;
};

/// Not thread-safe: one thread loads and runs, as mlx reports errors to that thread. It outlives
/// what it started.
class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual const validate::ModelSchema& schema() const = 0;
  /// For kFunction. Outputs have the schema's names, types and shapes, and are finite.
  /// Errors: kRequestType if the model takes text, kEngineRun, kOutputInvalid.
  [[nodiscard]] virtual Result<std::vector<validate::Tensor>> run(validate::ValidatedInputs inputs);
  /// For kEmbedding. Computes nothing yet. Errors: kRequestType if the model takes tensors.
  [[nodiscard]] virtual Result<std::unique_ptr<Embedding>> embed(std::vector<std::string> texts);
};

}  // namespace mlxguard::task
