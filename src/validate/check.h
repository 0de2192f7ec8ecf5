// SPDX-License-Identifier: Apache-2.0
// Checks tensors against a schema. ValidatedInputs cannot be made any other way, and the engine
// takes nothing else: a shapeless mlx function reads out of bounds when given a wrong shape or
// token id.
#pragma once

#include <vector>

#include "base/result.h"
#include "validate/schema.h"

namespace mlxguard::validate {

/// Inputs that have every property their schema names, in the schema's order.
class ValidatedInputs {
 public:
  [[nodiscard]] const std::vector<Tensor>& tensors() const { return tensors_; }
  [[nodiscard]] std::vector<Tensor>&& take() && { return std::move(tensors_); }

 private:
  friend Result<ValidatedInputs> check_inputs(const ModelSchema& schema,
                                              std::vector<Tensor> inputs);
  explicit ValidatedInputs(std::vector<Tensor> tensors) : tensors_(std::move(tensors)) {}
  std::vector<Tensor> tensors_;
};

/// Checks names (each exactly once), dtype, rank, extents, element count against data size, finite
/// values, value range. Inputs that share a dynamic extent by position need not agree (the schema
/// has no symbolic dimensions). Errors: kRequestMissing, kRequestUnknown, kRequestType,
/// kRequestShape, kRequestCount, kRequestNotFinite, kRequestRange, with `subject` the input's name.
[[nodiscard]] Result<ValidatedInputs> check_inputs(const ModelSchema& schema,
                                                   std::vector<Tensor> inputs);

/// The same for what a model answered, in the schema's order. Every violation, NaN and infinity
/// included, is kOutputInvalid: the fault is the model's, not the client's.
[[nodiscard]] Result<void> check_outputs(const ModelSchema& schema,
                                         const std::vector<Tensor>& outputs);

}  // namespace mlxguard::validate
