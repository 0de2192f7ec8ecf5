// SPDX-License-Identifier: Apache-2.0
// The tensors of a BERT encoder, each checked for presence and shape before mlx computes with it.
// They are held for the worker's life, so that mlx never takes a buffer over sealed memory for its
// own.
#pragma once

#include <mlx/array.h>

#include <vector>

#include "engine/bert_config.h"

namespace mlxguard::engine {

struct BertLinear {
  mlx::core::array weight_transposed;  ///< a view: BLAS takes the transposition as a flag
  mlx::core::array bias;
};

struct BertNorm {
  mlx::core::array weight;
  mlx::core::array bias;
};

struct BertLayer {
  BertLinear query, key, value, attention_output;
  BertNorm attention_norm;
  BertLinear intermediate, output;
  BertNorm output_norm;
};

struct BertWeights {
  mlx::core::array word_embeddings;
  mlx::core::array position_embeddings;
  mlx::core::array token_type_embeddings;
  BertNorm embeddings_norm;
  std::vector<BertLayer> layers;
};

/// From model.safetensors; names may begin with "bert.". Other tensors (a pooler, a head) are
/// ignored. Errors: kConfigInvalid without the file, kSafetensors*, kTensorMissing, kTensorShape,
/// kEngineLoad, kEngineReader.
[[nodiscard]] Result<BertWeights> load_bert_weights(const signature::VerifiedModel& model,
                                                    const BertConfig& config);

}  // namespace mlxguard::engine
