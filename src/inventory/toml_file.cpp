// SPDX-License-Identifier: Apache-2.0
#include "inventory/toml_file.h"

#include "base/limits.h"
#include "codec/text.h"

namespace mlxguard::inventory {
namespace {

constexpr std::size_t kKeyDotsMax = 16;

/// Behind the string that starts at `at`.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const std::string three(3, quote);
  const bool long_one = text.substr(at, 3) == three;
  at += long_one ? 3 : 1;
  while (at < text.size()) {
    if (quote == '"' && text[at] == '\\') {
      at += 2;
      continue;
    }
    if (long_one && text.substr(at, 3) == three) return at + 3;
    if (!long_one && (text[at] == quote || text[at] == '\n')) return at + 1;
    ++at;
  }
  return text.size();
}

/// Two things that the parser does not survive: it makes a nested table of each part of a dotted
/// key and frees them by recursion, and it takes letters beyond ASCII outside of strings for
/// impossible.
Result<void> check_outside_strings(std::string_view text) {
  std::size_t dots = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      at = end_of_string(text, at);
      continue;
    }
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (c == '.' && ++dots > kKeyDotsMax) {
      return make_error(ErrorCode::kTooLarge, "a key of more parts than allowed");
    }
    if (static_cast<unsigned char>(c) >= 0x80) {
      return make_error(ErrorCode::kDepsFile, "characters beyond ASCII outside of strings");
    }
    if (c == '\n' || c == '=' || c == ',' || c == '[' || c == '{') dots = 0;
    ++at;
  }
  return {};
}

Error wrong_type(const toml::node& node, std::string_view key, std::string_view expected) {
  return toml_error(node, "expected " + std::string(expected) + " for " + std::string(key));
}

}  // namespace

Error toml_error(const toml::node& node, std::string message) {
  return make_error(ErrorCode::kDepsFile,
                    "line " + std::to_string(node.source().begin.line) + ": " + std::move(message));
}

Result<toml::table> parse_toml(std::string_view text) {
  if (text.size() > limits::kDepsFileBytesMax) {
    return make_error(ErrorCode::kTooLarge, "larger than a lock file may be");
  }
  if (!codec::is_utf8(text)) return make_error(ErrorCode::kUtf8, "expected UTF-8");
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  MLXGUARD_TRY(check_outside_strings(text));
  toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return make_error(ErrorCode::kDepsFile, "line " +
                                                std::to_string(parsed.error().source().begin.line) +
                                                ": " + std::string(parsed.error().description()));
  }
  return std::move(parsed).table();
}

Result<std::string> text_or_empty(const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return std::string();
  const toml::value<std::string>* text = node->as_string();
  if (text == nullptr) return wrong_type(*node, key, "a string");
  return text->get();
}

Result<std::string> required_text(const toml::table& table, std::string_view key) {
  MLXGUARD_TRY_ASSIGN(std::string text, text_or_empty(table, key));
  if (text.empty()) return toml_error(table, "expected " + std::string(key));
  return text;
}

Result<const toml::table*> table_at(const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return static_cast<const toml::table*>(nullptr);
  if (!node->is_table()) return wrong_type(*node, key, "a table");
  return node->as_table();
}

Result<const toml::array*> array_at(const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return static_cast<const toml::array*>(nullptr);
  if (!node->is_array()) return wrong_type(*node, key, "an array");
  return node->as_array();
}

Result<const toml::table*> as_table(const toml::node& node) {
  if (!node.is_table()) return toml_error(node, "expected a table");
  return node.as_table();
}

}  // namespace mlxguard::inventory
