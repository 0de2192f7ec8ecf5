// SPDX-License-Identifier: Apache-2.0
#include "validate/decode_json.h"

#include <algorithm>

namespace mlxguard::validate {

using codec::JsonDocument;
using codec::JsonKind;
using codec::JsonValue;

Result<JsonDocument> parse_request(std::string_view body) {
  auto parsed = JsonDocument::parse(body);
  if (!parsed) {
    const ErrorCode code = parsed.error().code;
    return make_error(code, std::string(describe(code).meaning));
  }
  if (!parsed->root().is(JsonKind::kObject)) {
    return make_error(ErrorCode::kRequestSyntax, "expected a JSON object");
  }
  return parsed;
}

Result<void> only_known(const JsonValue& object, std::initializer_list<std::string_view> allowed,
                        std::string_view what) {
  return object.each_member([&](std::string_view key, JsonValue) -> Result<void> {
    if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) return {};
    std::string names;
    for (const std::string_view name : allowed) {
      names.append(names.empty() ? "" : ", ").append(name);
    }
    return make_error(ErrorCode::kRequestUnknown,
                      std::string(what) + " has a member that is not known; known are " + names);
  });
}

Result<JsonValue> required(const JsonValue& object, std::string_view name) {
  const auto found = object.find(name);
  if (!found) {
    return make_error(ErrorCode::kRequestMissing,
                      "a required member is absent: " + std::string(name))
        .about(std::string(name));
  }
  return *found;
}

Result<std::string_view> string_of(const JsonValue& value, std::string_view name) {
  const auto text = value.as_string();
  if (!text) {
    return make_error(ErrorCode::kRequestType, "expected " + std::string(name) + " to be a string")
        .about(std::string(name));
  }
  return *text;
}

}  // namespace mlxguard::validate
