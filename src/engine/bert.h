// SPDX-License-Identifier: Apache-2.0
// BERT-family sentence embeddings in float32: config.json, model.safetensors, tokenizer.json as
// Hugging Face lays them out, pooled and normalised as sentence-transformers' modules.json says.
#pragma once

#include "engine/engine.h"

namespace mlxguard::engine {

/// Errors: kConfigInvalid, kTokenizer, kSafetensors*, kTensorMissing, kTensorShape, kEngineLoad.
[[nodiscard]] Result<std::unique_ptr<Model>> load_bert(const signature::VerifiedModel& model);

}  // namespace mlxguard::engine
