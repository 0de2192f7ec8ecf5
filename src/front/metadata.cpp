// SPDX-License-Identifier: Apache-2.0
#include "front/metadata.h"

#include "codec/json.h"
#include "task/infer_answer.h"
#include "validate/decode_infer.h"

namespace mlxguard::front {
namespace {

using codec::JsonWriter;
using validate::ModelKind;

void write_model(JsonWriter& writer, const Model& model) {
  writer.begin_object().field("id", model.name).field("object", "model");
  writer.field("created", model.created_seconds);
  writer.field("owned_by", model.signer.empty() ? std::string_view("mlxguard") : model.signer);
  writer.end_object();
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
  writer.key("versions").begin_array().string(task::kModelVersion).end_array();
  writer.field("platform",
               model.schema->kind == ModelKind::kEmbedding ? "mlx_safetensors" : "mlx_mlxfn");
  writer.key("inputs");
  if (model.schema->kind == ModelKind::kEmbedding) {
    write_text_metadata(writer, validate::kTextInputName, "BYTES", {-1});
    writer.key("outputs");
    write_text_metadata(writer, validate::kEmbeddingOutputName, "FP32",
                        {-1, model.schema->embedding_dimension});
  } else {
    write_tensor_metadata(writer, model.schema->inputs);
    writer.key("outputs");
    write_tensor_metadata(writer, model.schema->outputs);
  }
  writer.end_object();
  return std::move(writer).take();
}

std::string model_ready_body(const Model& model) {
  JsonWriter writer;
  writer.begin_object().field("name", model.name).key("ready").boolean(model.up()).end_object();
  return std::move(writer).take();
}

}  // namespace mlxguard::front
