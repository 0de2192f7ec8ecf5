// SPDX-License-Identifier: Apache-2.0
// The JSON of every answer that is not an error, in each protocol's form.
// Input: what a worker answered, already checked against the model's schema.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models.h"
#include "validate/decode_embeddings.h"
#include "validate/decode_infer.h"
#include "validate/tensor.h"

namespace mlxguard::gateway {

/// Vectors of one embeddings answer, checked.
struct Embeddings {
  std::size_t dimension = 0;
  std::vector<float> values;  ///< row-major, one row a text
  std::uint64_t tokens = 0;
  [[nodiscard]] std::size_t count() const { return dimension == 0 ? 0 : values.size() / dimension; }
};

// OpenAI
[[nodiscard]] std::string openai_models_body(const Models& models);
[[nodiscard]] std::string openai_model_body(const Model& model);
[[nodiscard]] std::string openai_embeddings_body(const Model& model, const Embeddings& embeddings,
                                                 validate::EncodingFormat format);

// Open Inference Protocol
[[nodiscard]] std::string server_metadata_body();
[[nodiscard]] std::string live_body();
[[nodiscard]] std::string ready_body();
[[nodiscard]] std::string model_metadata_body(const Model& model);
[[nodiscard]] std::string model_ready_body(const Model& model);
[[nodiscard]] std::string infer_body(const Model& model, const validate::InferEnvelope& envelope,
                                     const std::vector<validate::Tensor>& outputs);
[[nodiscard]] std::string text_infer_body(const Model& model,
                                          const validate::InferEnvelope& envelope,
                                          const Embeddings& embeddings);

}  // namespace mlxguard::gateway
