// SPDX-License-Identifier: Apache-2.0
#include "codec/toml_text.h"

#include <algorithm>
#include <string>

#include "codec/text.h"

namespace mlxguard::codec {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// The end of the string or comment that begins at `at`, or `at` if none does.
std::size_t end_of_quoted(std::string_view text, std::size_t at) {
  const char first = text[at];
  if (first == '#') return std::min(text.find('\n', at), text.size());
  if (first != '"' && first != '\'') return at;
  const std::string_view mark = text.substr(at, 3);
  const bool multi_line = mark.size() == 3 && mark[1] == first && mark[2] == first;
  std::size_t place = at + (multi_line ? 3 : 1);
  while (place < text.size()) {
    const char c = text[place];
    if (first == '"' && c == '\\') {
      place += 2;
    } else if (!multi_line && c == '\n') {
      return place;
    } else if (c != first) {
      ++place;
    } else if (!multi_line) {
      return place + 1;
    } else if (text.substr(place, 3) == mark) {
      place += 3;
      // Up to two quotes may stand right before the closing ones.
      for (int more = 0; more < 2 && place < text.size() && text[place] == first; ++more) ++place;
      return place;
    } else {
      ++place;
    }
  }
  return text.size();
}

/// A backslash that ends a line skips spaces up to the next character, which is looked at as one.
bool follows_line_ending_backslash(std::string_view text, std::size_t at) {
  const std::size_t before = text.substr(0, at).find_last_not_of(" \t\r\n");
  return before != std::string_view::npos && text[before] == '\\' && before + 1 < at;
}

}  // namespace

std::optional<std::size_t> find_stray_character(std::string_view toml) {
  const auto line_of = [&](std::size_t at) {
    return static_cast<std::size_t>(
               std::count(toml.begin(), toml.begin() + static_cast<std::ptrdiff_t>(at), '\n')) +
           1;
  };
  if (is_ascii(toml)) return {};
  if (!is_utf8(toml)) return line_of(toml.size());
  std::size_t at = 0;
  while (at < toml.size()) {
    const std::size_t end = end_of_quoted(toml, at);
    if (end == at && static_cast<unsigned char>(toml[at]) >= 0x80) return line_of(at);
    at = std::max(end, at + 1);
  }
  for (at = 1; at < toml.size(); ++at) {
    const bool lead = static_cast<unsigned char>(toml[at]) >= 0x80 &&
                      static_cast<unsigned char>(toml[at - 1]) < 0x80;
    if (lead && follows_line_ending_backslash(toml, at)) return line_of(at);
  }
  return {};
}

std::string toml_in_ascii(std::string_view toml) {
  std::string plain(toml);
  std::replace_if(
      plain.begin(), plain.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; },
      '?');
  return plain;
}

}  // namespace mlxguard::codec
