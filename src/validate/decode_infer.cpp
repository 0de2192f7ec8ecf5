// SPDX-License-Identifier: Apache-2.0
#include "validate/decode_infer.h"

#include <algorithm>

#include "base/limits.h"
#include "validate/decode_json.h"
#include "validate/tensor_data.h"

namespace mlxguard::validate {
namespace {

using codec::JsonDocument;
using codec::JsonKind;
using codec::JsonValue;

constexpr std::size_t kIdBytesMax = 256;

Error refuse(ErrorCode code, std::string message, const std::string& subject) {
  return make_error(code, std::move(message)).about(subject);
}

Result<Shape> shape_of(const JsonValue& value, const std::string& name) {
  if (!value.is(JsonKind::kArray)) {
    return refuse(ErrorCode::kRequestType, "expected shape to be an array of integers", name);
  }
  if (value.size() > limits::kTensorRankMax) {
    return refuse(ErrorCode::kRequestShape,
                  "expected at most " + std::to_string(limits::kTensorRankMax) + " dimensions",
                  name);
  }
  Shape shape;
  MLXGUARD_TRY(value.each_element([&](std::size_t, JsonValue element) -> Result<void> {
    if (!element.is(JsonKind::kInteger)) {
      return refuse(ErrorCode::kRequestType, "expected shape to be an array of integers", name);
    }
    const auto extent = element.as_int64();
    if (!extent || *extent < 0 || *extent > limits::kTensorDimensionMax) {
      return refuse(ErrorCode::kRequestShape, "a dimension is negative or too large", name);
    }
    shape.push_back(*extent);
    return {};
  }));
  return shape;
}

Error binary_refused(const std::string& subject) {
  return refuse(ErrorCode::kRequestUnknown,
                "the binary tensor extension is not supported; send data as JSON (in tritonclient: "
                "binary_data=False)",
                subject);
}

/// Parameters we know change nothing: outputs are JSON always, which a client reads from the
/// answer.
Result<void> check_parameters(const JsonValue& object, std::string_view allowed,
                              const std::string& subject) {
  const auto parameters = object.find("parameters");
  if (!parameters) return {};
  if (!parameters->is(JsonKind::kObject)) {
    return refuse(ErrorCode::kRequestType, "expected parameters to be an object", subject);
  }
  return parameters->each_member([&](std::string_view key, JsonValue value) -> Result<void> {
    if (key == "binary_data_size") return binary_refused(subject);
    if (allowed.empty() || key != allowed) {
      return refuse(ErrorCode::kRequestUnknown, "a parameter that is not known", subject);
    }
    if (!value.is(JsonKind::kBool)) {
      return refuse(ErrorCode::kRequestType, "expected the parameter to be a boolean", subject);
    }
    return {};
  });
}

template <class NameOf>
std::optional<std::size_t> find_named(std::size_t count, std::string_view name, NameOf name_at) {
  for (std::size_t i = 0; i < count; ++i) {
    if (name_at(i) == name) return i;
  }
  return std::nullopt;
}

Result<Tensor> input_of(const JsonValue& value, const ModelSchema& schema) {
  if (!value.is(JsonKind::kObject)) {
    return refuse(ErrorCode::kRequestType, "expected an input to be an object", "inputs");
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue name_value, required(value, "name"));
  MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(name_value, "name"));
  const auto at = find_named(schema.inputs.size(), name, [&](std::size_t i) -> std::string_view {
    return schema.inputs[i].name;
  });
  if (!at) {
    return refuse(ErrorCode::kRequestUnknown, "an input that the model does not have", "inputs");
  }
  const TensorSpec& spec = schema.inputs[*at];
  MLXGUARD_TRY(check_parameters(value, {}, spec.name));
  MLXGUARD_TRY(only_known(value, {"name", "shape", "datatype", "parameters", "data"}, "an input"));
  MLXGUARD_TRY_ASSIGN(const JsonValue datatype_value, required(value, "datatype"));
  MLXGUARD_TRY_ASSIGN(const std::string_view datatype, string_of(datatype_value, "datatype"));
  if (datatype != name_of(spec.dtype)) {
    return refuse(ErrorCode::kRequestType, "expected datatype " + std::string(name_of(spec.dtype)),
                  spec.name);
  }
  Tensor tensor{spec.name, spec.dtype, {}, {}};
  MLXGUARD_TRY_ASSIGN(const JsonValue shape, required(value, "shape"));
  MLXGUARD_TRY_ASSIGN(tensor.shape, shape_of(shape, spec.name));
  MLXGUARD_TRY_ASSIGN(const JsonValue data, required(value, "data"));
  MLXGUARD_TRY_ASSIGN(tensor.data, tensor_data_of(spec, data, tensor.shape));
  return tensor;
}

/// The index of the output that a client asks for.
template <class NameOf>
Result<std::size_t> output_of(const JsonValue& value, std::size_t count, NameOf name_at) {
  if (!value.is(JsonKind::kObject)) {
    return refuse(ErrorCode::kRequestType, "expected an output to be an object", "outputs");
  }
  MLXGUARD_TRY(check_parameters(value, "binary_data", "outputs"));
  MLXGUARD_TRY(only_known(value, {"name", "parameters"}, "an output"));
  MLXGUARD_TRY_ASSIGN(const JsonValue name_value, required(value, "name"));
  MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(name_value, "name"));
  if (const auto at = find_named(count, name, name_at)) return *at;
  return refuse(ErrorCode::kRequestUnknown, "an output that the model does not have", "outputs");
}

template <class NameOf>
Result<std::vector<std::size_t>> outputs_of(const JsonValue& root, std::size_t count,
                                            NameOf name_at) {
  std::vector<std::size_t> chosen;
  const auto outputs = root.find("outputs");
  if (outputs && !outputs->is(JsonKind::kArray)) {
    return refuse(ErrorCode::kRequestType, "expected outputs to be an array", "outputs");
  }
  if (!outputs || outputs->size() == 0) {
    for (std::size_t i = 0; i < count; ++i) chosen.push_back(i);
    return chosen;
  }
  MLXGUARD_TRY(outputs->each_element([&](std::size_t, JsonValue value) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const std::size_t at, output_of(value, count, name_at));
    if (std::find(chosen.begin(), chosen.end(), at) != chosen.end()) {
      return refuse(ErrorCode::kRequestUnknown, "an output is asked for twice", "outputs");
    }
    chosen.push_back(at);
    return {};
  }));
  return chosen;
}

Result<std::string> id_of(const JsonValue& root) {
  const auto id = root.find("id");
  if (!id) return std::string();
  MLXGUARD_TRY_ASSIGN(const std::string_view text, string_of(*id, "id"));
  if (text.size() > kIdBytesMax) {
    return refuse(ErrorCode::kRequestTooLarge,
                  "expected id to have at most " + std::to_string(kIdBytesMax) + " bytes", "id");
  }
  return std::string(text);
}

/// Checks the members that do not depend on the model and returns the list of inputs.
Result<JsonValue> inputs_of(const JsonValue& root, std::size_t inputs_max) {
  MLXGUARD_TRY(only_known(root, {"id", "parameters", "inputs", "outputs"}, "the request"));
  MLXGUARD_TRY(check_parameters(root, "binary_data_output", "parameters"));
  MLXGUARD_TRY_ASSIGN(const JsonValue inputs, required(root, "inputs"));
  if (!inputs.is(JsonKind::kArray)) {
    return refuse(ErrorCode::kRequestType, "expected inputs to be an array", "inputs");
  }
  if (inputs.size() > inputs_max) {
    return refuse(ErrorCode::kRequestUnknown, "more inputs than the model has", "inputs");
  }
  return inputs;
}

Result<std::vector<std::string>> texts_of(const JsonValue& data, const TextLimits& limits) {
  const std::string name(kTextInputName);
  if (!data.is(JsonKind::kArray)) {
    return refuse(ErrorCode::kRequestType, "expected data to be an array", name);
  }
  if (data.size() > limits.texts_max) {
    return refuse(ErrorCode::kRequestTooLarge,
                  "expected at most " + std::to_string(limits.texts_max) + " texts", name);
  }
  std::vector<std::string> texts;
  texts.reserve(data.size());
  MLXGUARD_TRY(data.each_element([&](std::size_t, JsonValue element) -> Result<void> {
    const auto text = element.as_string();
    if (!text) {
      return refuse(ErrorCode::kRequestType, "expected every element of data to be a string", name);
    }
    texts.emplace_back(*text);
    return {};
  }));
  return texts;
}

Result<std::vector<std::string>> text_input_of(const JsonValue& value, const TextLimits& limits) {
  const std::string known(kTextInputName);
  if (!value.is(JsonKind::kObject)) {
    return refuse(ErrorCode::kRequestType, "expected an input to be an object", "inputs");
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue name_value, required(value, "name"));
  MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(name_value, "name"));
  if (name != kTextInputName) {
    return refuse(ErrorCode::kRequestUnknown, "an input that the model does not have", "inputs");
  }
  MLXGUARD_TRY(check_parameters(value, {}, known));
  MLXGUARD_TRY(only_known(value, {"name", "shape", "datatype", "parameters", "data"}, "an input"));
  MLXGUARD_TRY_ASSIGN(const JsonValue datatype_value, required(value, "datatype"));
  MLXGUARD_TRY_ASSIGN(const std::string_view datatype, string_of(datatype_value, "datatype"));
  if (datatype != "BYTES") {
    return refuse(ErrorCode::kRequestType, "expected datatype BYTES", known);
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue shape_value, required(value, "shape"));
  MLXGUARD_TRY_ASSIGN(const Shape shape, shape_of(shape_value, known));
  if (shape.size() != 1) return refuse(ErrorCode::kRequestShape, "expected a shape of [n]", known);
  MLXGUARD_TRY_ASSIGN(const JsonValue data, required(value, "data"));
  MLXGUARD_TRY_ASSIGN(std::vector<std::string> texts, texts_of(data, limits));
  if (texts.size() != static_cast<std::uint64_t>(shape[0])) {
    return refuse(
        ErrorCode::kRequestCount,
        "expected " + std::to_string(shape[0]) + " elements, found " + std::to_string(texts.size()),
        known);
  }
  return texts;
}

}  // namespace

Result<InferRequest> decode_infer_request(std::string_view body, const ModelSchema& schema) {
  MLXGUARD_TRY_ASSIGN(const JsonDocument document, parse_request(body));
  const JsonValue root = document.root();
  MLXGUARD_TRY_ASSIGN(const JsonValue inputs, inputs_of(root, schema.inputs.size()));
  InferRequest request;
  MLXGUARD_TRY_ASSIGN(request.envelope.id, id_of(root));
  MLXGUARD_TRY_ASSIGN(request.envelope.outputs, outputs_of(root, schema.outputs.size(),
                                                           [&](std::size_t i) -> std::string_view {
                                                             return schema.outputs[i].name;
                                                           }));
  MLXGUARD_TRY(inputs.each_element([&](std::size_t, JsonValue value) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(Tensor tensor, input_of(value, schema));
    request.inputs.push_back(std::move(tensor));
    return {};
  }));
  return request;
}

Result<TextInferRequest> decode_text_infer_request(std::string_view body,
                                                   const TextLimits& limits) {
  MLXGUARD_TRY_ASSIGN(const JsonDocument document, parse_request(body));
  const JsonValue root = document.root();
  MLXGUARD_TRY_ASSIGN(const JsonValue inputs, inputs_of(root, 1));
  TextInferRequest request;
  MLXGUARD_TRY_ASSIGN(request.envelope.id, id_of(root));
  MLXGUARD_TRY_ASSIGN(request.envelope.outputs,
                      outputs_of(root, 1, [](std::size_t) { return kEmbeddingOutputName; }));
  if (inputs.size() == 0) {
    return refuse(ErrorCode::kRequestMissing, "an input is missing", std::string(kTextInputName));
  }
  MLXGUARD_TRY(inputs.each_element([&](std::size_t, JsonValue value) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(request.texts, text_input_of(value, limits));
    return {};
  }));
  return request;
}

}  // namespace mlxguard::validate
