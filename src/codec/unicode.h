// SPDX-License-Identifier: Apache-2.0
// One code point at a time from untrusted UTF-8, and which of them a reader cannot see.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mlxguard::codec {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 1;  ///< 1 for a malformed byte
  bool valid = false;
};

/// The first code point of a text that is not empty.
[[nodiscard]] CodePoint decode_utf8(std::string_view text);

/// Control characters, and those that are invisible or change the direction of what stands around
/// them.
[[nodiscard]] bool is_hidden(char32_t value);

/// Characters that hide text from a reader; line ends and tabs are ordinary. A no-break or
/// ideographic space is visible enough, and a joiner inside an emoji is not told apart: it stays
/// ordinary.
[[nodiscard]] bool hides_text(char32_t value);

/// True if visible_text() would change nothing but the length.
[[nodiscard]] bool is_visible_text(std::string_view untrusted_text);

/// `untrusted_text` with malformed bytes and everything that is_hidden() written as \xNN: one line
/// that is safe on a terminal. What comes after about `bytes_max` bytes is cut off, marked "...".
[[nodiscard]] std::string visible_text(std::string_view untrusted_text, std::size_t bytes_max);

}  // namespace mlxguard::codec
