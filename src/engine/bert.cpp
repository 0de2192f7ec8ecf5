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
/// Texts of so many bytes become tokens in one step: some milliseconds.
constexpr std::size_t kTokenizeBytes = 64u << 10;

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

  [[nodiscard]] Result<std::unique_ptr<task::Embedding>> embed(
      std::vector<std::string> texts) override;

  [[nodiscard]] Result<Tokens> tokenize(const std::string& text) const {
    MLXGUARD_TRY_ASSIGN(Tokens tokens,
                        tokenizer_.encode(text, static_cast<std::size_t>(config_.tokens_max)));
    if (tokens.ids.empty()) return make_error(ErrorCode::kTextInvalid, "the text has no tokens");
    // mlx does not check an index: an id beyond the table would read other memory.
    for (const std::uint32_t id : tokens.ids) {
      if (id >= static_cast<std::uint64_t>(config_.vocabulary_size)) {
        return make_error(ErrorCode::kTokenizer, "a token id beyond the model's vocabulary");
      }
    }
    return tokens;
  }

  [[nodiscard]] Result<void> embed_batch(const Batch& batch, const std::vector<Tokens>& tokens,
                                         task::Vectors& out) const {
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
            out.values.begin() + static_cast<std::ptrdiff_t>(batch.texts[row] * out.dimension));
      }
      return {};
    });
  }

 private:
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

/// One embedding on its way: first the texts become tokens, some of them a step, then each step
/// computes a batch.
class BertEmbedding final : public task::Embedding {
 public:
  BertEmbedding(const BertModel& model, std::vector<std::string> texts)
      : model_(model), texts_(std::move(texts)) {
    out_.dimension = static_cast<std::size_t>(model.schema().embedding_dimension);
    out_.values.resize(texts_.size() * out_.dimension);
  }

  [[nodiscard]] Result<bool> step() override {
    if (tokens_.size() < texts_.size()) {
      MLXGUARD_TRY(tokenize_some());
      if (tokens_.size() < texts_.size()) return false;
      batches_ = make_batches(tokens_);
    }
    if (next_batch_ < batches_.size()) {
      MLXGUARD_TRY(model_.embed_batch(batches_[next_batch_++], tokens_, out_));
    }
    return next_batch_ == batches_.size();
  }

  [[nodiscard]] task::Vectors take() override { return std::move(out_); }

 private:
  [[nodiscard]] Result<void> tokenize_some() {
    for (std::size_t bytes = 0; bytes < kTokenizeBytes && tokens_.size() < texts_.size();) {
      std::string& text = texts_[tokens_.size()];
      auto tokens = model_.tokenize(text);
      if (!tokens) return std::move(tokens).error().about(std::to_string(tokens_.size()));
      bytes += text.size();
      std::string().swap(text);
      out_.token_counts.push_back(static_cast<std::uint32_t>(tokens->ids.size()));
      out_.truncated.push_back(tokens->count_before_truncation > tokens->ids.size() ? 1 : 0);
      tokens_.push_back(*std::move(tokens));
    }
    return {};
  }

  const BertModel& model_;
  std::vector<std::string> texts_;
  std::vector<Tokens> tokens_;
  std::vector<Batch> batches_;
  std::size_t next_batch_ = 0;
  task::Vectors out_;
};

Result<std::unique_ptr<task::Embedding>> BertModel::embed(std::vector<std::string> texts) {
  return std::unique_ptr<task::Embedding>(
      std::make_unique<BertEmbedding>(*this, std::move(texts)));
}

/// One embedding from its first step to its last, so that what is wrong shows at load.
Result<void> warm_up(BertModel& model) {
  MLXGUARD_TRY_ASSIGN(const auto embedding, model.embed({"warm up"}));
  for (bool done = false; !done;) {
    MLXGUARD_TRY_ASSIGN(done, embedding->step());
  }
  return {};
}

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
  MLXGUARD_TRY(warm_up(*loaded));
  return std::unique_ptr<Model>(std::move(loaded));
}

}  // namespace mlxguard::engine
