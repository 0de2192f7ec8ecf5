// SPDX-License-Identifier: Apache-2.0
// Members of a JSON object, appended to a text that ends inside of one. Names are our own and need
// no escape; texts may come from an attacker and are escaped by codec.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "codec/json.h"

namespace mlxguard::log {

/// `"name":`, behind a comma unless the object has just begun.
inline void append_key(std::string& out, std::string_view name) {
  if (!out.empty() && out.back() != '{') out.push_back(',');
  out.push_back('"');
  out.append(name);
  out += "\":";
}

inline void append_field(std::string& out, std::string_view name, std::string_view text) {
  append_key(out, name);
  codec::append_json_string(out, text);
}

inline void append_field(std::string& out, std::string_view name, std::int64_t value) {
  append_key(out, name);
  char text[24];
  const auto [end, problem] = std::to_chars(text, text + sizeof(text), value);
  MLXGUARD_CHECK(problem == std::errc{});
  out.append(text, end);
}

}  // namespace mlxguard::log
