// SPDX-License-Identifier: Apache-2.0
#include "validate/decode_embeddings.h"

#include "base/limits.h"
#include "validate/decode_json.h"

namespace mlxguard::validate {
namespace {

using codec::JsonKind;
using codec::JsonValue;

Error wrong_input() {
  return make_error(
             ErrorCode::kRequestType,
             "expected input to be a string or an array of strings; arrays of tokens are not "
             "taken, send text")
      .about("input");
}

Result<std::vector<std::string>> texts_of(const JsonValue& input, const TextLimits& limits) {
  std::vector<std::string> texts;
  if (input.is(JsonKind::kString)) {
    MLXGUARD_TRY_ASSIGN(const std::string_view text, string_of(input, "input"));
    texts.emplace_back(text);
    return texts;
  }
  if (!input.is(JsonKind::kArray)) return wrong_input();
  const std::size_t count = input.size();
  if (count > limits.texts_max) {
    return make_error(ErrorCode::kRequestTooLarge, "expected at most " +
                                                       std::to_string(limits.texts_max) +
                                                       " texts, found " + std::to_string(count))
        .about("input");
  }
  texts.reserve(count);
  MLXGUARD_TRY(input.each_element([&](std::size_t, JsonValue element) -> Result<void> {
    const auto text = element.as_string();
    if (!text) return wrong_input();
    texts.emplace_back(*text);
    return {};
  }));
  return texts;
}

Result<EncodingFormat> encoding_format_of(const JsonValue& value) {
  MLXGUARD_TRY_ASSIGN(const std::string_view name, string_of(value, "encoding_format"));
  if (name == "float") return EncodingFormat::kFloat;
  if (name == "base64") return EncodingFormat::kBase64;
  return make_error(ErrorCode::kRequestRange, "expected encoding_format to be float or base64")
      .about("encoding_format");
}

Result<std::int64_t> dimensions_of(const JsonValue& value) {
  const auto dimensions = value.as_int64();
  if (!dimensions) {
    return make_error(ErrorCode::kRequestType, "expected dimensions to be an integer")
        .about("dimensions");
  }
  return *dimensions;
}

}  // namespace

Result<EmbeddingsRequest> decode_embeddings_request(std::string_view body, const TextLimits& limits,
                                                    ModelMember model_member) {
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument document, parse_request(body));
  const JsonValue root = document.root();
  MLXGUARD_TRY(
      only_known(root, {"model", "input", "encoding_format", "dimensions", "user"}, "the request"));
  EmbeddingsRequest request;
  if (model_member == ModelMember::kRequired || root.find("model")) {
    MLXGUARD_TRY_ASSIGN(const JsonValue model, required(root, "model"));
    MLXGUARD_TRY_ASSIGN(const std::string_view model_name, string_of(model, "model"));
    if (model_name.size() > limits::kModelNameBytesMax) {
      return make_error(ErrorCode::kModelUnknown, "no model of this name is served").about("model");
    }
    request.model = model_name;
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue input, required(root, "input"));
  MLXGUARD_TRY_ASSIGN(request.texts, texts_of(input, limits));
  if (const auto format = root.find("encoding_format")) {
    MLXGUARD_TRY_ASSIGN(request.encoding_format, encoding_format_of(*format));
  }
  if (const auto dimensions = root.find("dimensions")) {
    MLXGUARD_TRY_ASSIGN(request.dimensions, dimensions_of(*dimensions));
  }
  if (const auto user = root.find("user")) MLXGUARD_TRY(string_of(*user, "user"));
  return request;
}

}  // namespace mlxguard::validate
