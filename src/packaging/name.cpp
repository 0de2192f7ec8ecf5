// SPDX-License-Identifier: Apache-2.0
#include "packaging/name.h"

#include <algorithm>

#include "packaging/scan.h"

namespace mlxguard::packaging {
namespace {

bool is_separator(char c) { return c == '-' || c == '_' || c == '.'; }

}  // namespace

bool is_name(std::string_view name) {
  return !name.empty() && is_ascii_alphanumeric(name.front()) &&
         is_ascii_alphanumeric(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_ascii_alphanumeric(c) || is_separator(c); });
}

std::string normalize_name(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  bool separated = false;
  for (const char c : name) {
    if (is_separator(c)) {
      if (!separated) out += '-';
      separated = true;
    } else {
      out += ascii_lower(c);
      separated = false;
    }
  }
  return out;
}

}  // namespace mlxguard::packaging
