// SPDX-License-Identifier: Apache-2.0
#include "inspect/config_scan.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii.h"
#include "base/limits.h"
#include "codec/json.h"
#include "inspect/config_rules.h"
#include "inspect/content_kind.h"

namespace mlxguard::inspect {
namespace {

constexpr std::size_t kSourceShown = 200;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

/// Walks anything that looks like JSON, keeping the keys around each value. It refuses nothing:
/// what is wrong with the file is the strict parser's to say.
class LooseJson {
 public:
  LooseJson(std::string_view text, const FileContext& context, Findings& findings)
      : text_(text), context_(context), findings_(findings) {}

  void run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        read_string();
      } else if (c == '{' || c == '[') {
        value(ValueKind::kContainer, {}, at_);
        if (levels_.size() >= limits::kJsonDepthMax * 4) {
          findings_.gap("nested deeper than is read");
          return;
        }
        levels_.push_back({c == '{', {}, 0});
        advance(1);
      } else if (c == '}' || c == ']') {
        if (!levels_.empty()) levels_.pop_back();
        advance(1);
      } else if (c == ',') {
        if (!levels_.empty()) ++levels_.back().index;
        advance(1);
      } else if (is_space(c) || c == ':') {
        advance(1);
      } else {
        read_literal();
      }
    }
  }

 private:
  struct Level {
    bool object;
    std::string key;
    std::size_t index;
  };

  void advance(std::size_t count) {
    for (std::size_t i = 0; i < count && at_ < text_.size(); ++i, ++at_)
      line_ += text_[at_] == '\n';
  }

  void read_string() {
    const std::size_t begin = at_;
    const std::uint64_t line = line_;
    std::string text;
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"') {
      if (text_[end] == '\\' && end + 1 < text_.size()) {
        end = read_escape(end + 1, text);
      } else {
        text += text_[end++];
      }
    }
    advance(std::min(end + 1, text_.size()) - at_);
    std::size_t next = at_;
    while (next < text_.size() && is_space(text_[next])) ++next;
    const bool key =
        next < text_.size() && text_[next] == ':' && !levels_.empty() && levels_.back().object;
    if (key) {
      levels_.back().key = std::move(text);
      return;
    }
    value(ValueKind::kText, text, begin, line);
  }

  std::size_t read_escape(std::size_t at, std::string& out) {
    const auto hex = [&](std::size_t from, unsigned& code) {
      code = 0;
      for (std::size_t i = from; i < from + 4; ++i) {
        if (i >= text_.size()) return false;
        const auto digit = hex_digit_value(text_[i]);
        if (!digit) return false;
        code = code * 16 + *digit;
      }
      return true;
    };
    const char c = text_[at];
    unsigned code = 0;
    if (c == 'u' && hex(at + 1, code)) {
      unsigned low = 0;
      if (code >= 0xD800 && code < 0xDC00 && text_.substr(at + 5).starts_with("\\u") &&
          hex(at + 7, low) && low >= 0xDC00 && low < 0xE000) {
        append_utf8(out, 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00));
        return at + 11;
      }
      append_utf8(out, code);
      return at + 5;
    }
    out += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
    return at + 1;
  }

  void read_literal() {
    const std::size_t begin = at_;
    std::size_t end = at_;
    while (end < text_.size() && !is_space(text_[end]) &&
           std::string_view(",]}{[\":").find(text_[end]) == std::string_view::npos) {
      ++end;
    }
    const std::string_view word = text_.substr(begin, end - begin);
    value(word == "true" || word == "1" ? ValueKind::kTrue : ValueKind::kOther, {}, begin);
    advance(std::max<std::size_t>(end - begin, 1));
  }

  void value(ValueKind kind, std::string_view text, std::size_t offset, std::uint64_t line = 0) {
    ConfigValue one;
    std::string place_in_array;
    // The innermost key, also from within an array: "auto_map": ["a", "b"].
    std::size_t level = levels_.size();
    while (level > 0 && !levels_[level - 1].object) --level;
    if (level == 0) return;
    one.key = levels_[level - 1].key;
    one.depth = level;
    if (level < levels_.size()) {
      place_in_array = "[" + std::to_string(levels_[level].index) + "]";
      one.parent = place_in_array;
      // Elements of an array under one of these keys are not that key's own value.
      if (kind != ValueKind::kText && one.key != "chat_template") return;
    } else {
      std::size_t outer = level - 1;
      while (outer > 0 && !levels_[outer - 1].object) --outer;
      if (outer > 0) one.parent = levels_[outer - 1].key;
    }
    const bool element = level < levels_.size();
    if (element && one.key != "chat_template" && last_part(context_.name) != "model_index.json")
      return;
    one.kind = kind;
    one.text = text;
    one.source =
        text_.substr(offset, kind == ValueKind::kContainer ? container_end(offset) : kSourceShown);
    if (kind == ValueKind::kText) one.source = text.substr(0, kSourceShown);
    one.place = {.offset = offset, .line = line == 0 ? line_ : line};
    judge_config_value(one, context_, findings_);
  }

  /// How much of a container is shown: all of it, if it is short.
  [[nodiscard]] std::size_t container_end(std::size_t offset) const {
    int depth = 0;
    for (std::size_t i = offset; i < text_.size() && i < offset + kSourceShown; ++i) {
      if (text_[i] == '{' || text_[i] == '[') ++depth;
      if ((text_[i] == '}' || text_[i] == ']') && --depth == 0) return i + 1 - offset;
    }
    return kSourceShown;
  }

  std::string_view text_;
  const FileContext& context_;
  Findings& findings_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 1;
  std::vector<Level> levels_;
};

constexpr std::array<std::string_view, 8> kYamlKeys{
    "model_file", "auto_map",   "trust_remote_code", "custom_pipelines",
    "_target_",   "class_name", "model_type",        "tool_parser_type"};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool is_word(char c) {
  return c == '_' || c == '.' || c == '-' || is_ascii_alphanumeric(c);
}

/// A line as a YAML reader takes it: %XX of tags and \xXX, \uXXXX of quoted text resolved. Only
/// ASCII is, since keys and tags are.
std::string resolved(std::string_view line) {
  const auto hex = [&](std::size_t from, std::size_t digits, unsigned& code) {
    if (from + digits > line.size()) return false;
    const char* const begin = line.data() + from;
    const auto [stop, problem] = std::from_chars(begin, begin + digits, code, 16);
    return problem == std::errc{} && stop == begin + digits && code >= 0x20 && code < 0x7F;
  };
  std::string out;
  for (std::size_t at = 0; at < line.size();) {
    const char next = at + 1 < line.size() ? line[at + 1] : '\0';
    const bool escape = line[at] == '\\';
    const std::size_t prefix = line[at] == '%' ? 1 : 2;
    const std::size_t digits = line[at] == '%'         ? 2
                               : escape && next == 'x' ? 2
                               : escape && next == 'u' ? 4
                               : escape && next == 'U' ? 8
                                                       : 0;
    unsigned code = 0;
    if (digits != 0 && hex(at + prefix, digits, code)) {
      out += static_cast<char>(code);
      at += prefix + digits;
    } else {
      out += line[at++];
    }
  }
  return out;
}

/// One line: each known key in it, wherever it stands (block, flow or quoted), and its value.
void scan_yaml_line(std::string_view line, Place place, const FileContext& context,
                    Findings& findings) {
  for (const std::string_view key : kYamlKeys) {
    for (std::size_t at = line.find(key); at != line.npos; at = line.find(key, at + 1)) {
      if (at > 0 && is_word(line[at - 1])) continue;
      std::string_view rest = line.substr(at + key.size());
      if (!rest.empty() && (rest.front() == '"' || rest.front() == '\'')) rest.remove_prefix(1);
      rest = trimmed(rest);
      // "? key": its value stands on a line of its own.
      const bool alone = rest.empty() && trimmed(line).starts_with("?");
      if (!alone && (rest.empty() || (rest.front() != ':' && rest.front() != '='))) continue;
      if (!alone) rest = trimmed(rest.substr(1));
      const std::size_t comment = rest.find(" #");
      rest = trimmed(rest.substr(0, comment));
      if (rest.starts_with("#")) rest = {};
      ConfigValue value;
      value.key = key;
      value.depth = at == 0 ? 1 : 2;
      value.source = rest.substr(0, kSourceShown);
      value.place = {.offset = *place.offset + at, .line = place.line};
      std::string_view word = rest.substr(0, rest.find_first_of(",}]"));
      if (word.size() >= 2 && (word.front() == '"' || word.front() == '\'')) {
        word = word.substr(1, word.find(word.front(), 1) - 1);
      }
      value.text = trimmed(word);
      constexpr std::array<std::string_view, 9> kTrue{"true", "True", "TRUE", "yes", "Yes",
                                                      "YES",  "on",   "On",   "1"};
      const bool is_true = std::find(kTrue.begin(), kTrue.end(), value.text) != kTrue.end();
      const bool null = value.text == "null" || value.text == "~" || value.text == "false";
      const bool container = rest.empty() || rest.front() == '{' || rest.front() == '[';
      value.kind = is_true ? ValueKind::kTrue
                   : null  ? ValueKind::kOther
                           : (container ? ValueKind::kContainer : ValueKind::kText);
      judge_config_value(value, context, findings);
    }
  }
}

}  // namespace

bool is_weights_index(std::string_view name) { return has_extension(name, ".index.json"); }

void scan_json(std::string_view untrusted_text, const FileContext& context, Strictness strictness,
               Findings& findings) {
  if (untrusted_text.size() > limits::kInspectTextBytesMax) {
    findings.gap("a text of more bytes than are read");
    return;
  }
  if (untrusted_text.starts_with("\xEF\xBB\xBF")) untrusted_text.remove_prefix(3);
  if (strictness == Strictness::kMustParse) {
    const auto parsed = codec::JsonDocument::parse(
        untrusted_text,
        {.bytes_max = limits::kInspectTextBytesMax, .depth_max = limits::kJsonDepthMax});
    if (!parsed) {
      findings.add(Rule::kConfigInvalid, parsed.error().message, name_of(parsed.error().code));
    }
  }
  LooseJson(untrusted_text, context, findings).run();
}

void scan_yaml(std::string_view untrusted_text, const FileContext& context, Findings& findings) {
  if (untrusted_text.size() > limits::kInspectTextBytesMax) {
    findings.gap("a text of more bytes than are read");
    return;
  }
  std::size_t at = 0;
  for (std::uint64_t number = 1; at < untrusted_text.size(); ++number) {
    const std::size_t end = std::min(untrusted_text.find('\n', at), untrusted_text.size());
    const std::string text = resolved(untrusted_text.substr(at, end - at));
    const std::string_view line = text;
    const Place place{.offset = at, .line = number};
    if (line.starts_with("%TAG")) {
      findings.add(Rule::kConfigYamlObject, Severity::kHigh,
                   "a directive that gives tags other names", line.substr(0, kSourceShown), place);
    }
    for (const std::string_view tag : {"!!python/", "!python/", "tag:yaml.org,2002:python/"}) {
      if (const std::size_t found = line.find(tag); found != line.npos) {
        findings.add(Rule::kConfigYamlObject, "a tag that makes a Python object",
                     line.substr(found, kSourceShown), place);
        break;
      }
    }
    if (!trimmed(line).starts_with("#")) scan_yaml_line(line, place, context, findings);
    at = end + 1;
  }
}

}  // namespace mlxguard::inspect
