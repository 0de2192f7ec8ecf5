// SPDX-License-Identifier: Apache-2.0
#include "answers.h"

#include "codec/json.h"
#include "codec/text.h"
#include "validate/encode_tensor.h"

namespace mlxguard::gateway {
namespace {

using codec::JsonWriter;
using validate::ModelKind;

constexpr std::string_view kVersion = "1";

void write_model(JsonWriter& writer, const Model& model) {
  writer.begin_object().field("id", model.name).field("object", "model");
  writer.field("created", model.created_seconds);
  writer.field("owned_by", model.signer.empty() ? std::string_view("mlxguard") : model.signer);
  writer.end_object();
}

/// Little-endian bytes of the floats, as OpenAI's clients decode them.
std::string base64_of(const float* values, std::size_t count) {
  return codec::to_base64({reinterpret_cast<const std::uint8_t*>(values), count * sizeof(float)});
}

void write_tensor_metadata(JsonWriter& writer, const std::vector<validate::TensorSpec>& specs) {
  writer.begin_array();
  for (const validate::TensorSpec& spec : specs) {
    writer.begin_object().field("name", spec.name).field("datatype", name_of(spec.dtype));
    writer.key("shape").begin_array();
    for (const validate::Dimension& dimension : spec.shape) {
      writer.integer(dimension.fixed() ? dimension.min : -1);
    }
    writer.end_array().end_object();
  }
  writer.end_array();
}

void write_text_metadata(JsonWriter& writer, std::string_view name, std::string_view datatype,
                         std::initializer_list<std::int64_t> shape) {
  writer.begin_array().begin_object().field("name", name).field("datatype", datatype);
  writer.key("shape").begin_array();
  for (const std::int64_t extent : shape) writer.integer(extent);
  writer.end_array().end_object().end_array();
}

void begin_infer_answer(JsonWriter& writer, const Model& model,
                        const validate::InferEnvelope& envelope) {
  writer.begin_object().field("model_name", model.name).field("model_version", kVersion);
  if (!envelope.id.empty()) writer.field("id", envelope.id);
  writer.key("outputs").begin_array();
}

}  // namespace

std::string openai_models_body(const Models& models) {
  JsonWriter writer;
  writer.begin_object().field("object", "list").key("data").begin_array();
  for (const auto& [name, model] : models.all()) write_model(writer, model);
  writer.end_array().end_object();
  return std::move(writer).take();
}

std::string openai_model_body(const Model& model) {
  JsonWriter writer;
  write_model(writer, model);
  return std::move(writer).take();
}

std::string openai_embeddings_body(const Model& model, const Embeddings& embeddings,
                                   validate::EncodingFormat format) {
  JsonWriter writer;
  writer.begin_object().field("object", "list").key("data").begin_array();
  for (std::size_t row = 0; row < embeddings.count(); ++row) {
    const float* values = embeddings.values.data() + row * embeddings.dimension;
    writer.begin_object().field("object", "embedding");
    writer.field("index", static_cast<std::int64_t>(row)).key("embedding");
    if (format == validate::EncodingFormat::kBase64) {
      writer.string(base64_of(values, embeddings.dimension));
    } else {
      writer.begin_array();
      for (std::size_t i = 0; i < embeddings.dimension; ++i) writer.number(values[i]);
      writer.end_array();
    }
    writer.end_object();
  }
  const auto tokens = static_cast<std::int64_t>(embeddings.tokens);
  writer.end_array().field("model", model.name).key("usage").begin_object();
  writer.field("prompt_tokens", tokens).field("total_tokens", tokens).end_object().end_object();
  return std::move(writer).take();
}

std::string server_metadata_body() {
  JsonWriter writer;
  writer.begin_object().field("name", "mlxguard").field("version", MLXGUARD_VERSION);
  writer.key("extensions").begin_array().end_array().end_object();
  return std::move(writer).take();
}

std::string live_body() { return R"({"live":true})"; }

std::string ready_body() { return R"({"live":true,"ready":true})"; }

std::string model_metadata_body(const Model& model) {
  JsonWriter writer;
  writer.begin_object().field("name", model.name);
  writer.key("versions").begin_array().string(kVersion).end_array();
  writer.field("platform",
               model.schema.kind == ModelKind::kEmbedding ? "mlx_safetensors" : "mlx_mlxfn");
  writer.key("inputs");
  if (model.schema.kind == ModelKind::kEmbedding) {
    write_text_metadata(writer, validate::kTextInputName, "BYTES", {-1});
    writer.key("outputs");
    write_text_metadata(writer, validate::kEmbeddingOutputName, "FP32",
                        {-1, model.schema.embedding_dimension});
  } else {
    write_tensor_metadata(writer, model.schema.inputs);
    writer.key("outputs");
    write_tensor_metadata(writer, model.schema.outputs);
  }
  writer.end_object();
  return std::move(writer).take();
}

std::string model_ready_body(const Model& model) {
  JsonWriter writer;
  writer.begin_object().field("name", model.name).key("ready").boolean(model.up()).end_object();
  return std::move(writer).take();
}

std::string infer_body(const Model& model, const validate::InferEnvelope& envelope,
                       const std::vector<validate::Tensor>& outputs) {
  JsonWriter writer;
  begin_infer_answer(writer, model, envelope);
  for (const std::size_t at : envelope.outputs) validate::write_tensor(writer, outputs[at]);
  writer.end_array().end_object();
  return std::move(writer).take();
}

std::string text_infer_body(const Model& model, const validate::InferEnvelope& envelope,
                            const Embeddings& embeddings) {
  JsonWriter writer;
  begin_infer_answer(writer, model, envelope);
  writer.begin_object().field("name", validate::kEmbeddingOutputName);
  writer.key("shape").begin_array().integer(static_cast<std::int64_t>(embeddings.count()));
  writer.integer(static_cast<std::int64_t>(embeddings.dimension)).end_array();
  writer.field("datatype", "FP32").key("data").begin_array();
  for (const float value : embeddings.values) writer.number(value);
  writer.end_array().end_object().end_array().end_object();
  return std::move(writer).take();
}

}  // namespace mlxguard::gateway
