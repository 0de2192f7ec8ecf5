// SPDX-License-Identifier: Apache-2.0
#include "task/embeddings.h"

#include <array>
#include <cmath>
#include <optional>

#include "codec/json.h"
#include "codec/text.h"
#include "task/infer_answer.h"
#include "validate/decode_embeddings.h"
#include "validate/decode_infer.h"
#include "wire/encoding.h"

namespace mlxguard::task {
namespace {

using codec::JsonWriter;
using validate::EncodingFormat;

constexpr std::array kRoutes{
    Route{"/v1/embeddings", Protocol::kOpenAi},
    Route{"/v2/models/{model}/infer", Protocol::kInference},
    Route{"/v2/models/{model}/versions/1/infer", Protocol::kInference},
};

// ---- between gateway and worker ----------------------------------------------------------------

struct TextsMessage {
  std::vector<std::string> texts;
  template <class Archive>
  void visit(Archive& archive) {
    archive(texts);
  }
};

struct VectorsMessage {
  std::uint32_t dimension = 0;
  std::vector<float> values;
  std::vector<std::uint32_t> token_counts;
  template <class Archive>
  void visit(Archive& archive) {
    archive(dimension), archive(values), archive(token_counts);
  }
};

// ---- the asker's side --------------------------------------------------------------------------

/// Little-endian bytes of the floats, as OpenAI's clients decode them.
std::string base64_of(std::span<const float> values) {
  return codec::to_base64(
      {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()});
}

class EmbeddingsJob final : public Job {
 public:
  EmbeddingsJob(Served model, std::vector<std::string> texts, validate::TextLimits limits)
      : model_(std::move(model)),
        texts_(std::move(texts)),
        limits_(limits),
        count_(texts_.size()) {}
  void answer_openai(EncodingFormat format) { format_ = format; }
  void answer_infer(validate::InferEnvelope envelope) { envelope_ = std::move(envelope); }

  [[nodiscard]] Result<std::vector<std::uint8_t>> validate() override {
    auto checked = validate::check_texts(std::move(texts_), limits_);
    if (!checked) return std::move(checked).error().about("input");
    TextsMessage message{std::move(*checked).take()};
    wire::Encoder encoder;
    message.visit(encoder);
    return std::move(encoder).take();
  }

  [[nodiscard]] Result<std::string> encode_part(Bytes part) override {
    VectorsMessage message;
    wire::Decoder decoder(part);
    message.visit(decoder);
    MLXGUARD_TRY(decoder.finish());
    MLXGUARD_TRY(check(message));
    for (const std::uint32_t tokens : message.token_counts) tokens_ += tokens;
    done_ = true;
    return envelope_ ? infer_body(message) : openai_body(message);
  }

  [[nodiscard]] Result<std::string> encode_end(const call::Usage&) override {
    if (done_) return std::string();
    return make_error(ErrorCode::kWorkerProtocol, "an answer without its vectors");
  }

  [[nodiscard]] std::int64_t items() const override { return static_cast<std::int64_t>(count_); }
  [[nodiscard]] std::int64_t tokens() const override { return tokens_; }

 private:
  [[nodiscard]] Result<void> check(const VectorsMessage& message) const {
    const auto invalid = [](const char* what) {
      return make_error(ErrorCode::kOutputInvalid, what);
    };
    if (done_) return make_error(ErrorCode::kWorkerProtocol, "an answer of more than one part");
    if (message.dimension == 0 ||
        message.dimension != static_cast<std::uint64_t>(model_.schema->embedding_dimension)) {
      return invalid("vectors of another dimension than the model's");
    }
    if (message.values.size() != count_ * message.dimension ||
        message.token_counts.size() != count_) {
      return invalid("another number of vectors than of texts");
    }
    bool finite = true;
    for (const float value : message.values) finite &= std::isfinite(value);
    if (!finite) return invalid("a vector with NaN or infinity");
    return {};
  }

  [[nodiscard]] std::string openai_body(const VectorsMessage& message) const {
    JsonWriter writer;
    writer.begin_object().field("object", "list").key("data").begin_array();
    for (std::size_t row = 0; row < count_; ++row) {
      const std::span<const float> values(&message.values[row * message.dimension],
                                          message.dimension);
      writer.begin_object().field("object", "embedding");
      writer.field("index", static_cast<std::int64_t>(row)).key("embedding");
      if (format_ == EncodingFormat::kBase64) {
        writer.string(base64_of(values));
      } else {
        writer.begin_array();
        for (const float value : values) writer.number(value);
        writer.end_array();
      }
      writer.end_object();
    }
    writer.end_array().field("model", model_.name).key("usage").begin_object();
    writer.field("prompt_tokens", tokens_).field("total_tokens", tokens_);
    writer.end_object().end_object();
    return std::move(writer).take();
  }

  [[nodiscard]] std::string infer_body(const VectorsMessage& message) const {
    JsonWriter writer;
    begin_infer_answer(writer, model_.name, *envelope_);
    writer.begin_object().field("name", validate::kEmbeddingOutputName);
    writer.key("shape").begin_array().integer(static_cast<std::int64_t>(count_));
    writer.integer(message.dimension).end_array();
    writer.field("datatype", "FP32").key("data").begin_array();
    for (const float value : message.values) writer.number(value);
    writer.end_array().end_object();
    end_infer_answer(writer);
    return std::move(writer).take();
  }

  Served model_;
  std::vector<std::string> texts_;
  validate::TextLimits limits_;
  std::size_t count_;
  EncodingFormat format_ = EncodingFormat::kFloat;
  std::optional<validate::InferEnvelope> envelope_;  ///< set when asked over that protocol
  std::int64_t tokens_ = 0;
  bool done_ = false;
};

Result<std::unique_ptr<Job>> decode_infer(const Incoming& incoming) {
  MLXGUARD_TRY_ASSIGN(auto request,
                      validate::decode_text_infer_request(incoming.body, incoming.texts));
  auto job = std::make_unique<EmbeddingsJob>(incoming.model, std::move(request.texts),
                                             incoming.texts);
  job->answer_infer(std::move(request.envelope));
  return std::unique_ptr<Job>(std::move(job));
}

Result<std::unique_ptr<Job>> decode(const Incoming& incoming) {
  if (incoming.route->protocol == Protocol::kInference) return decode_infer(incoming);
  const auto member = incoming.find ? validate::ModelMember::kRequired
                                    : validate::ModelMember::kOptional;
  MLXGUARD_TRY_ASSIGN(auto request, validate::decode_embeddings_request(
                                        incoming.body, incoming.texts, member));
  Served model = incoming.model;
  if (incoming.find) {
    MLXGUARD_TRY_ASSIGN(model, incoming.find(request.model));
  }
  if (model.schema->kind != validate::ModelKind::kEmbedding) {
    return make_error(ErrorCode::kRequestUnknown, "this model does not make embeddings")
        .about("model");
  }
  const std::int64_t dimension = model.schema->embedding_dimension;
  if (request.dimensions && *request.dimensions != dimension) {
    return make_error(ErrorCode::kRequestRange,
                      "expected dimensions to be " + std::to_string(dimension) + " or absent")
        .about("dimensions");
  }
  auto job = std::make_unique<EmbeddingsJob>(std::move(model), std::move(request.texts),
                                             incoming.texts);
  job->answer_openai(request.encoding_format);
  return std::unique_ptr<Job>(std::move(job));
}

// ---- the worker's side -------------------------------------------------------------------------

/// The widest that mlxguard.toml can be set to: the gateway applies what it is set to.
constexpr validate::TextLimits kTextLimits{.texts_max = 100'000, .text_bytes_max = 64u << 20};

class EmbeddingsRun final : public call::Run {
 public:
  explicit EmbeddingsRun(std::unique_ptr<Embedding> embedding) : embedding_(std::move(embedding)) {}

  [[nodiscard]] Result<call::Step> next() override {
    MLXGUARD_TRY_ASSIGN(const bool done, embedding_->step());
    if (!done) return call::Step::more();
    Vectors vectors = embedding_->take();
    for (const std::uint32_t tokens : vectors.token_counts) usage_.tokens_in += tokens;
    VectorsMessage message{static_cast<std::uint32_t>(vectors.dimension),
                           std::move(vectors.values), std::move(vectors.token_counts)};
    wire::Encoder encoder;
    message.visit(encoder);
    return call::Step::last_of(std::move(encoder).take());
  }
  [[nodiscard]] call::Usage usage() const override { return usage_; }

 private:
  std::unique_ptr<Embedding> embedding_;
  call::Usage usage_;
};

Result<std::unique_ptr<call::Run>> begin(Model& model, Bytes payload) {
  TextsMessage message;
  wire::Decoder decoder(payload);
  message.visit(decoder);
  MLXGUARD_TRY(decoder.finish());
  MLXGUARD_TRY_ASSIGN(auto texts, validate::check_texts(std::move(message.texts), kTextLimits));
  MLXGUARD_TRY_ASSIGN(auto embedding, model.embed(std::move(texts).take()));
  return std::unique_ptr<call::Run>(std::make_unique<EmbeddingsRun>(std::move(embedding)));
}

}  // namespace

Row embeddings_row() {
  return {.name = "embeddings",
          .meaning = "texts to vectors",
          .kind = validate::ModelKind::kEmbedding,
          .routes = kRoutes,
          .decode = decode,
          .begin = begin};
}

}  // namespace mlxguard::task
