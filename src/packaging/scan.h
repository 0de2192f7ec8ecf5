// SPDX-License-Identifier: Apache-2.0
// Character classes and trimming, in ASCII whatever the locale is.
#pragma once

#include <string>
#include <string_view>

#include "base/ascii.h"

namespace mlxguard::packaging {

[[nodiscard]] constexpr bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}

[[nodiscard]] constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace mlxguard::packaging
