// SPDX-License-Identifier: Apache-2.0
#include "engine/bert_weights.h"

#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "engine/mlx_guard.h"
#include "engine/weights.h"

namespace mlxguard::engine {
namespace {

namespace mx = mlx::core;

/// Takes tensors by the names of Hugging Face's BertModel and remembers each for one evaluation.
class Taker {
 public:
  Taker(const Weights& weights, const BertConfig& config) : weights_(weights), config_(config) {
    prefix_ =
        weights.index().find("bert.embeddings.word_embeddings.weight") != nullptr ? "bert." : "";
  }

  Result<mx::array> tensor(const std::string& name, std::initializer_list<std::int64_t> shape) {
    MLXGUARD_TRY_ASSIGN(const mx::array array, weights_.take_float(prefix_ + name, shape));
    taken_.push_back(array);
    return array;
  }

  Result<BertLinear> linear(const std::string& name, std::int64_t out, std::int64_t in) {
    MLXGUARD_TRY_ASSIGN(const mx::array weight, tensor(name + ".weight", {out, in}));
    MLXGUARD_TRY_ASSIGN(const mx::array bias, tensor(name + ".bias", {out}));
    return BertLinear{mx::transpose(weight), bias};
  }

  Result<BertNorm> norm(const std::string& name) {
    MLXGUARD_TRY_ASSIGN(const mx::array weight, tensor(name + ".weight", {config_.hidden_size}));
    MLXGUARD_TRY_ASSIGN(const mx::array bias, tensor(name + ".bias", {config_.hidden_size}));
    return BertNorm{weight, bias};
  }

  Result<BertLayer> layer(std::int64_t index) {
    const std::string at = "encoder.layer." + std::to_string(index) + ".";
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t inner = config_.intermediate_size;
    MLXGUARD_TRY_ASSIGN(auto query, linear(at + "attention.self.query", hidden, hidden));
    MLXGUARD_TRY_ASSIGN(auto key, linear(at + "attention.self.key", hidden, hidden));
    MLXGUARD_TRY_ASSIGN(auto value, linear(at + "attention.self.value", hidden, hidden));
    MLXGUARD_TRY_ASSIGN(auto merge, linear(at + "attention.output.dense", hidden, hidden));
    MLXGUARD_TRY_ASSIGN(auto attention_norm, norm(at + "attention.output.LayerNorm"));
    MLXGUARD_TRY_ASSIGN(auto intermediate, linear(at + "intermediate.dense", inner, hidden));
    MLXGUARD_TRY_ASSIGN(auto output, linear(at + "output.dense", hidden, inner));
    MLXGUARD_TRY_ASSIGN(auto output_norm, norm(at + "output.LayerNorm"));
    return BertLayer{query, key, value, merge, attention_norm, intermediate, output, output_norm};
  }

  [[nodiscard]] std::vector<mx::array>& taken() { return taken_; }

 private:
  const Weights& weights_;
  const BertConfig& config_;
  std::string prefix_;
  std::vector<mx::array> taken_;
};

Result<BertWeights> take_all(Taker& taker, const BertConfig& config) {
  const std::int64_t hidden = config.hidden_size;
  MLXGUARD_TRY_ASSIGN(auto words, taker.tensor("embeddings.word_embeddings.weight",
                                               {config.vocabulary_size, hidden}));
  MLXGUARD_TRY_ASSIGN(auto positions, taker.tensor("embeddings.position_embeddings.weight",
                                                   {config.position_count, hidden}));
  MLXGUARD_TRY_ASSIGN(auto types, taker.tensor("embeddings.token_type_embeddings.weight",
                                               {config.token_type_count, hidden}));
  MLXGUARD_TRY_ASSIGN(auto norm, taker.norm("embeddings.LayerNorm"));
  BertWeights weights{words, positions, types, norm, {}};
  for (std::int64_t i = 0; i < config.layer_count; ++i) {
    MLXGUARD_TRY_ASSIGN(auto layer, taker.layer(i));
    weights.layers.push_back(std::move(layer));
  }
  return weights;
}

}  // namespace

Result<BertWeights> load_bert_weights(const signature::VerifiedModel& model,
                                      const BertConfig& config) {
  constexpr std::string_view kName = "model.safetensors";
  const artifact::SnapshotFile* file = model.find(kName);
  if (file == nullptr) {
    return make_error(ErrorCode::kConfigInvalid, "the model lacks this file")
        .about(std::string(kName));
  }
  MLXGUARD_TRY_ASSIGN(const Weights weights, Weights::open(*file));
  return stop_exceptions(ErrorCode::kEngineLoad, [&]() -> Result<BertWeights> {
    Taker taker(weights, config);
    MLXGUARD_TRY_ASSIGN(BertWeights taken, take_all(taker, config));
    mx::eval(taker.taken());  // whatever must be copied or converted is, now
    MLXGUARD_TRY(weights.failure());
    return taken;
  });
}

}  // namespace mlxguard::engine
