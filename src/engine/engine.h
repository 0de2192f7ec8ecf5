// SPDX-License-Identifier: Apache-2.0
// The engine: turns a VerifiedModel into something that runs, and is the only folder that knows
// mlx. It stands at the end of the model line and inside the request line, in the worker. The
// model's bytes are signed and immutable; inputs are validated; what mlx throws stops here.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "signature/verified_model.h"
#include "validate/check.h"
#include "validate/schema.h"

namespace mlxguard::engine {

/// One row a text, in the order of the texts.
struct Embeddings {
  std::size_t dimension = 0;
  std::vector<float> vectors;               ///< row-major: texts * dimension, all finite
  std::vector<std::uint32_t> token_counts;  ///< after truncation, special tokens included
  std::vector<std::uint8_t> truncated;  ///< 1 where the text had more tokens than the model takes
};

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

/// A loaded model. Not thread-safe: one thread loads and runs, as mlx reports errors to that
/// thread.
class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual const validate::ModelSchema& schema() const = 0;
  /// For kFunction. Outputs have the schema's names, types and shapes, and are finite.
  /// Errors: kRequestType if the model takes text, kEngineRun, kOutputInvalid.
  [[nodiscard]] virtual Result<std::vector<validate::Tensor>> run(validate::ValidatedInputs inputs);
  /// For kEmbedding. The deadline is looked at between batches.
  /// Errors: kRequestType if the model takes tensors, kTextInvalid (with the text's position as
  /// subject), kTokenizer, kDeadline, kEngineRun, kOutputInvalid.
  [[nodiscard]] virtual Result<Embeddings> embed(std::span<const std::string> texts,
                                                 Deadline deadline = {});
};

/// The kind of model is told by its files: mlxguard.json makes it a function, config.json a model
/// of one of the architectures in engine/architectures.h. Runs the model once before it answers.
/// Needs prepare_runtime and start_runtime (engine/runtime.h) to have been called.
/// Errors: kFormatUnknown, kManifestInvalid, kConfigInvalid, kTokenizer, kSafetensors*, kTensor*,
/// kEngineLoad, kEngineReader.
[[nodiscard]] Result<std::unique_ptr<Model>> load(const signature::VerifiedModel& model);

}  // namespace mlxguard::engine
