// SPDX-License-Identifier: Apache-2.0
#include "engine/bert.h"

#include <mlx/fast.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/limits.h"
#include "engine/bert_config.h"
#include "engine/bert_weights.h"
#include "engine/cpu_ops.h"
#include "engine/mlx_guard.h"
#include "engine/model_file.h"
#include "engine/tokenizer.h"

namespace mlxguard::engine {
namespace {

namespace mx = mlx::core;

/// Tokens of one batch, padding included: enough to keep BLAS busy, small enough for the caches.
constexpr std::size_t kBatchTokensMax = 2048;

mx::array linear(const mx::array& x, const BertLinear& layer) {
  return mx::addmm(layer.bias, x, layer.weight_transposed);
}

mx::array to_heads(const mx::array& x, int heads) {
  const int width = x.shape(2) / heads;
  return mx::transpose(mx::reshape(x, {x.shape(0), x.shape(1), heads, width}), {0, 2, 1, 3});
}

/// Texts of about one length, as ids padded to the longest.
struct Batch {
  std::vector<std::size_t> texts;  ///< positions in the caller's list
  std::size_t length_tokens = 0;   ///< of the longest
};

/// Shortest first, so that little is padding. The order depends on lengths and positions alone: the
/// same texts always make the same batches.
std::vector<Batch> make_batches(const std::vector<Tokens>& tokens) {
  std::vector<std::size_t> order(tokens.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tokens[a].ids.size() < tokens[b].ids.size();
  });
  std::vector<Batch> batches;
  std::size_t shortest = 0;
  for (const std::size_t text : order) {
    const std::size_t length = tokens[text].ids.size();
    const bool fits = !batches.empty() &&
                      (batches.back().texts.size() + 1) * length <= kBatchTokensMax &&
                      length <= shortest + shortest / 4 + 4;
    if (!fits) {
      batches.emplace_back();
      shortest = length;
    }
    batches.back().texts.push_back(text);
    batches.back().length_tokens = length;
  }
  return batches;
}

class BertModel final : public Model {
 public:
  BertModel(BertConfig config, BertWeights weights, Tokenizer tokenizer)
      : config_(config), weights_(std::move(weights)), tokenizer_(std::move(tokenizer)) {
    schema_.kind = validate::ModelKind::kEmbedding;
    schema_.embedding_dimension = config_.hidden_size;
    schema_.tokens_max = config_.tokens_max;
  }

  [[nodiscard]] const validate::ModelSchema& schema() const override { return schema_; }

  [[nodiscard]] Result<Embeddings> embed(std::span<const std::string> texts,
                                         Deadline deadline) override {
    MLXGUARD_TRY_ASSIGN(const std::vector<Tokens> tokens, tokenize(texts));
    Embeddings out;
    out.dimension = static_cast<std::size_t>(config_.hidden_size);
    out.vectors.resize(texts.size() * out.dimension);
    for (const Tokens& text : tokens) {
      out.token_counts.push_back(static_cast<std::uint32_t>(text.ids.size()));
      out.truncated.push_back(text.count_before_truncation > text.ids.size() ? 1 : 0);
    }
    for (const Batch& batch : make_batches(tokens)) {
      if (deadline && std::chrono::steady_clock::now() >= *deadline) {
        return make_error(ErrorCode::kDeadline, "the deadline passed between two batches");
      }
      MLXGUARD_TRY(embed_batch(batch, tokens, out));
    }
    return out;
  }

 private:
  [[nodiscard]] Result<std::vector<Tokens>> tokenize(std::span<const std::string> texts) const {
    std::vector<Tokens> tokens;
    tokens.reserve(texts.size());
    for (const std::string& text : texts) {
      auto encoded = tokenizer_.encode(text, static_cast<std::size_t>(config_.tokens_max));
      if (!encoded) return std::move(encoded).error().about(std::to_string(tokens.size()));
      if (encoded->ids.empty()) {
        return make_error(ErrorCode::kTextInvalid, "the text has no tokens")
            .about(std::to_string(tokens.size()));
      }
      // mlx does not check an index: an id beyond the table would read other memory.
      for (const std::uint32_t id : encoded->ids) {
        if (id >= static_cast<std::uint64_t>(config_.vocabulary_size)) {
          return make_error(ErrorCode::kTokenizer, "a token id beyond the model's vocabulary");
        }
      }
      tokens.push_back(std::move(encoded).value());
    }
    return tokens;
  }

  [[nodiscard]] Result<void> embed_batch(const Batch& batch, const std::vector<Tokens>& tokens,
                                         Embeddings& out) const {
    return stop_exceptions(ErrorCode::kEngineRun, [&]() -> Result<void> {
      mx::array vectors = mx::contiguous(forward(batch, tokens));
      mx::eval(vectors);
      const float* const values = vectors.data<float>();
      const std::size_t count = batch.texts.size() * out.dimension;
      if (!std::all_of(values, values + count, [](float v) { return std::isfinite(v); })) {
        return make_error(ErrorCode::kOutputInvalid, "an embedding holds NaN or infinity");
      }
      for (std::size_t row = 0; row < batch.texts.size(); ++row) {
        std::copy_n(
            values + row * out.dimension, out.dimension,
            out.vectors.begin() + static_cast<std::ptrdiff_t>(batch.texts[row] * out.dimension));
      }
      return {};
    });
  }

  [[nodiscard]] mx::array forward(const Batch& batch, const std::vector<Tokens>& tokens) const {
    const int rows = static_cast<int>(batch.texts.size());
    const int length = static_cast<int>(batch.length_tokens);
    // Padding is token 0: any row of the table will do, the mask hides it.
    std::vector<std::uint32_t> ids(batch.texts.size() * batch.length_tokens, 0);
    std::vector<float> present(ids.size(), 0.0f);
    std::vector<int> lengths;
    for (std::size_t row = 0; row < batch.texts.size(); ++row) {
      const auto& text = tokens[batch.texts[row]].ids;
      std::copy(text.begin(), text.end(), &ids[row * batch.length_tokens]);
      std::fill_n(&present[row * batch.length_tokens], text.size(), 1.0f);
      lengths.push_back(static_cast<int>(text.size()));
    }
    mx::array x = embedding_layer(mx::array(ids.begin(), {rows, length}, mx::uint32), length);
    for (const BertLayer& layer : weights_.layers) x = transformer_layer(x, layer, lengths);
    return finish(x, mx::array(present.begin(), {rows, length}));
  }

  [[nodiscard]] mx::array norm(const mx::array& x, const BertNorm& layer) const {
    return mx::fast::layer_norm(x, layer.weight, layer.bias, config_.layer_norm_epsilon);
  }

  [[nodiscard]] mx::array embedding_layer(const mx::array& ids, int length) const {
    const mx::array words = mx::take(weights_.word_embeddings, ids, 0);
    const mx::array positions = mx::slice(weights_.position_embeddings, {0, 0},
                                          {length, static_cast<int>(config_.hidden_size)});
    const mx::array type = mx::slice(weights_.token_type_embeddings, {0, 0},
                                     {1, static_cast<int>(config_.hidden_size)});
    return norm(mx::add(words, mx::add(positions, type)), weights_.embeddings_norm);
  }

  [[nodiscard]] mx::array transformer_layer(const mx::array& x, const BertLayer& layer,
                                            const std::vector<int>& lengths) const {
    const int heads = static_cast<int>(config_.head_count);
    const float scale =
        1.0f / std::sqrt(static_cast<float>(config_.hidden_size / config_.head_count));
    const mx::array scores = mx::matmul(to_heads(linear(x, layer.query), heads),
                                        mx::swapaxes(to_heads(linear(x, layer.key), heads), 2, 3));
    const mx::array attended = mx::matmul(masked_softmax_op(scores, lengths, scale),
                                          to_heads(linear(x, layer.value), heads));
    const mx::array merged = mx::reshape(mx::transpose(attended, {0, 2, 1, 3}), x.shape());
    const mx::array y =
        norm(mx::add(linear(merged, layer.attention_output), x), layer.attention_norm);
    const mx::array inner = gelu_op(linear(y, layer.intermediate));
    return norm(mx::add(linear(inner, layer.output), y), layer.output_norm);
  }

  /// One vector a text. The lower bounds of the divisors are sentence-transformers' own.
  [[nodiscard]] mx::array finish(const mx::array& x, const mx::array& mask) const {
    mx::array vectors = mx::take(x, 0, 1);
    if (config_.pooling == Pooling::kMean) {
      const mx::array weight = mx::expand_dims(mask, 2);
      vectors = mx::divide(mx::sum(mx::multiply(x, weight), 1),
                           mx::maximum(mx::sum(weight, 1), mx::array(1e-9f)));
    }
    if (config_.normalisation == Normalisation::kNone) return vectors;
    const mx::array length = mx::sqrt(mx::sum(mx::square(vectors), 1, true));
    return mx::divide(vectors, mx::maximum(length, mx::array(1e-12f)));
  }

  BertConfig config_;
  BertWeights weights_;
  Tokenizer tokenizer_;
  validate::ModelSchema schema_;
};

}  // namespace

Result<std::unique_ptr<Model>> load_bert(const signature::VerifiedModel& model) {
  MLXGUARD_TRY_ASSIGN(const BertConfig config, BertConfig::read(model));
  MLXGUARD_TRY_ASSIGN(const auto tokenizer_file,
                      map_file(model, "tokenizer.json", limits::kTokenizerBytesMax));
  MLXGUARD_TRY_ASSIGN(Tokenizer tokenizer, Tokenizer::parse(tokenizer_file->bytes()));
  if (tokenizer.vocabulary_size() > static_cast<std::uint64_t>(config.vocabulary_size)) {
    return make_error(ErrorCode::kConfigInvalid, "the tokenizer has ids beyond the vocabulary")
        .about("config.json: vocab_size")
        .compared("at least " + std::to_string(tokenizer.vocabulary_size()),
                  std::to_string(config.vocabulary_size));
  }
  MLXGUARD_TRY_ASSIGN(BertWeights weights, load_bert_weights(model, config));
  auto loaded = std::make_unique<BertModel>(config, std::move(weights), std::move(tokenizer));
  const std::string text = "warm up";
  MLXGUARD_TRY(loaded->embed({&text, 1}, {}));
  return std::unique_ptr<Model>(std::move(loaded));
}

}  // namespace mlxguard::engine
