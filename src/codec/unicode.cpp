// SPDX-License-Identifier: Apache-2.0
#include "codec/unicode.h"

namespace mlxguard::codec {
namespace {

void append_escaped(std::string& out, unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

}  // namespace

CodePoint decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1, true};
  std::size_t count = 0;
  char32_t value = 0;
  char32_t smallest = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    count = 2, value = first & 0x1Fu, smallest = 0x80;
  } else if ((first & 0xF0) == 0xE0) {
    count = 3, value = first & 0x0Fu, smallest = 0x800;
  } else if (first >= 0xF0 && first <= 0xF4) {
    count = 4, value = first & 0x07u, smallest = 0x10000;
  }
  if (count == 0 || text.size() < count) return {first, 1, false};
  for (std::size_t i = 1; i < count; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {first, 1, false};
    value = (value << 6) | (byte(i) & 0x3Fu);
  }
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < smallest || value > 0x10FFFF || surrogate) return {first, 1, false};
  return {value, count, true};
}

bool hides_text(char32_t value) {
  return (value >= 0x202A && value <= 0x202E) ||    // embeddings and overrides of direction
         (value >= 0x2066 && value <= 0x2069) ||    // isolates
         value == 0x200B || value == 0x2060 ||      // zero width space, word joiner
         (value >= 0x2061 && value <= 0x2064) ||    // invisible operators
         value == 0x00AD || value == 0x180E ||      // soft hyphen, Mongolian vowel separator
         (value >= 0xE0000 && value <= 0xE007F) ||  // tags: ASCII that nobody sees
         (value >= 0xE0100 && value <= 0xE01EF) ||  // variation selectors without an effect
         (value < 0x20 && value != '\n' && value != '\r' && value != '\t') || value == 0x7F;
}

bool is_hidden(char32_t value) {
  return hides_text(value) || value < 0x20 || (value >= 0x7F && value < 0xA0) ||
         (value >= 0x200B && value <= 0x200F) || value == 0x2028 || value == 0x2029 ||
         value == 0xFEFF;
}

bool is_visible_text(std::string_view untrusted_text) {
  for (std::size_t at = 0; at < untrusted_text.size();) {
    const CodePoint point = decode_utf8(untrusted_text.substr(at));
    if (!point.valid || is_hidden(point.value)) return false;
    at += point.bytes;
  }
  return true;
}

std::string visible_text(std::string_view untrusted_text, std::size_t bytes_max) {
  std::string out;
  std::size_t at = 0;
  while (at < untrusted_text.size()) {
    if (out.size() >= bytes_max) return out + "...";
    const CodePoint point = decode_utf8(untrusted_text.substr(at));
    if (!point.valid || is_hidden(point.value)) {
      for (std::size_t i = 0; i < point.bytes; ++i) {
        append_escaped(out, static_cast<unsigned char>(untrusted_text[at + i]));
      }
    } else {
      out += untrusted_text.substr(at, point.bytes);
    }
    at += point.bytes;
  }
  return out;
}

}  // namespace mlxguard::codec
