// SPDX-License-Identifier: Apache-2.0
// What a BERT-family sentence-embedding model says of itself: config.json and, as
// sentence-transformers lays them out, modules.json, 1_Pooling/config.json and
// sentence_bert_config.json. Every number is bounded before it becomes a shape; what would change
// the result and is not implemented is refused rather than ignored.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "signature/verified_model.h"

namespace mlxguard::engine {

enum class Pooling : std::uint8_t { kMean, kFirstToken };
enum class Normalisation : std::uint8_t { kNone, kUnitLength };

struct BertConfig {
  std::int64_t vocabulary_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t layer_count = 0;
  std::int64_t head_count = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t position_count = 0;
  std::int64_t token_type_count = 0;
  float layer_norm_epsilon = 0;
  std::int64_t tokens_max = 0;  ///< of one text, special tokens included
  Pooling pooling = Pooling::kMean;
  Normalisation normalisation = Normalisation::kNone;

  /// Errors: kConfigInvalid, with the file and member at fault as subject.
  [[nodiscard]] static Result<BertConfig> read(const signature::VerifiedModel& model);
};

}  // namespace mlxguard::engine
