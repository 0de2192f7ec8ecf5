// SPDX-License-Identifier: Apache-2.0
#include "mirror/html.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/limits.h"
#include "codec/text.h"

namespace mlxguard::mirror {
namespace {

Error refused(std::string message) {
  return make_error(ErrorCode::kMirrorPage, std::move(message));
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }


void append_utf8(std::string& out, std::uint32_t point) {
  const auto byte = [&out](std::uint32_t value) { out += static_cast<char>(value); };
  if (point < 0x80) {
    byte(point);
  } else if (point < 0x800) {
    byte(0xc0 | point >> 6), byte(0x80 | (point & 63));
  } else if (point < 0x10000) {
    byte(0xe0 | point >> 12), byte(0x80 | (point >> 6 & 63)), byte(0x80 | (point & 63));
  } else {
    byte(0xf0 | point >> 18), byte(0x80 | (point >> 12 & 63));
    byte(0x80 | (point >> 6 & 63)), byte(0x80 | (point & 63));
  }
}

/// "&#62;" and "&#x3e;": the code point, or nothing if it is none.
std::optional<std::uint32_t> numeric_entity(std::string_view body) {
  const bool hex = body.size() > 1 && ascii_lower(body[1]) == 'x';
  body.remove_prefix(hex ? 2 : 1);
  if (body.empty() || body.size() > 7) return std::nullopt;
  std::uint32_t point = 0;
  for (const char c : body) {
    const char l = ascii_lower(c);
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (hex && l >= 'a' && l <= 'f') {
      digit = static_cast<std::uint32_t>(l - 'a' + 10);
    } else {
      return std::nullopt;
    }
    point = point * (hex ? 16 : 10) + digit;
  }
  const bool valid = point != 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  return valid ? std::optional(point) : std::nullopt;
}

std::string decode_entities(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, char>, 5> kNamed = {
      {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};
  constexpr std::size_t kEntityBytesMax = 10;
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t end =
        text[i] == '&' ? text.substr(i, kEntityBytesMax).find(';') : std::string_view::npos;
    if (end == std::string_view::npos || end < 2) {
      out += text[i];
      continue;
    }
    const std::string_view body = text.substr(i + 1, end - 1);
    if (body[0] == '#') {
      const auto point = numeric_entity(body);
      if (!point) {
        out += text[i];
        continue;
      }
      append_utf8(out, *point);
    } else {
      const auto* named = std::find_if(kNamed.begin(), kNamed.end(),
                                       [&](const auto& row) { return row.first == body; });
      if (named == kNamed.end()) {
        out += text[i];
        continue;
      }
      out += named->second;
    }
    i += end;
  }
  return out;
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<HtmlIndex> read() {
    HtmlIndex index;
    while (at_ < text_.size()) {
      const std::size_t open = text_.find('<', at_);
      if (open == std::string_view::npos) break;
      at_ = open + 1;
      if (text_.substr(at_).starts_with("!--")) {
        const std::size_t end = text_.find("-->", at_ + 3);
        if (end == std::string_view::npos) break;
        at_ = end + 3;
        continue;
      }
      MLXGUARD_TRY(read_tag(index));
    }
    return index;
  }

 private:
  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
  void skip_space() {
    while (!at_end() && is_space(text_[at_])) ++at_;
  }

  std::string read_name() {
    std::string name;
    while (!at_end() && !is_space(text_[at_]) && text_[at_] != '>' && text_[at_] != '=' &&
           text_[at_] != '/' && text_[at_] != '<') {
      if (name.size() < kNameBytesKept) name += ascii_lower(text_[at_]);
      ++at_;
    }
    return name;
  }

  Result<std::string> read_value() {
    skip_space();
    if (at_end()) return std::string();
    const char quote = text_[at_];
    std::size_t end = 0;
    if (quote == '"' || quote == '\'') {
      end = text_.find(quote, ++at_);
      if (end == std::string_view::npos) return refused("an attribute whose quote does not close");
    } else {
      end = at_;
      while (end < text_.size() && !is_space(text_[end]) && text_[end] != '>') ++end;
    }
    if (end - at_ > limits::kMirrorAttributeBytesMax)
      return refused("an attribute that is too long");
    std::string value = decode_entities(text_.substr(at_, end - at_));
    at_ = end + (quote == '"' || quote == '\'' ? 1 : 0);
    return value;
  }

  Result<void> read_tag(HtmlIndex& index) {
    const std::string name = read_name();
    Anchor tag;
    for (std::size_t attributes = 0;; ++attributes) {
      while (!at_end() && (is_space(text_[at_]) || text_[at_] == '/')) ++at_;
      if (at_end() || text_[at_] == '<') return {};  // a tag that does not end is no tag
      if (text_[at_] == '>') break;
      if (attributes >= kAttributesMax) return refused("a tag with too many attributes");
      if (text_[at_] == '=') {
        ++at_;
        continue;
      }
      std::string attribute = read_name();
      skip_space();
      std::string value;
      if (!at_end() && text_[at_] == '=') {
        ++at_;
        MLXGUARD_TRY_ASSIGN(value, read_value());
      }
      if (name == "a" || name == "meta") {
        tag.attributes.emplace_back(std::move(attribute), std::move(value));
      }
    }
    ++at_;
    if (name == "meta") note_meta(index, tag);
    if (name != "a") return {};
    if (index.anchors.size() >= limits::kMirrorPageFilesMax) return refused("too many links");
    const std::size_t end = std::min(text_.find('<', at_), text_.size());
    if (end - at_ > limits::kMirrorAttributeBytesMax)
      return refused("a link whose text is too long");
    tag.text = trimmed(decode_entities(text_.substr(at_, end - at_)));
    at_ = end;
    index.anchors.push_back(std::move(tag));
    return {};
  }

  static void note_meta(HtmlIndex& index, const Anchor& tag) {
    const std::string* name = tag.find("name");
    const std::string* content = tag.find("content");
    if (name != nullptr && content != nullptr && *name == "pypi:repository-version") {
      index.repository_version = *content;
    }
  }

  static constexpr std::size_t kAttributesMax = 32;
  static constexpr std::size_t kNameBytesKept = 64;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

const std::string* Anchor::find(std::string_view name) const {
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [&](const auto& attribute) { return attribute.first == name; });
  return found == attributes.end() ? nullptr : &found->second;
}

Result<HtmlIndex> parse_html_index(std::string_view untrusted_text) {
  if (untrusted_text.size() > limits::kMirrorPageBytesMax) {
    return make_error(ErrorCode::kTooLarge, "an index page that is too large");
  }
  if (!codec::is_utf8(untrusted_text)) return refused("an index page that is not UTF-8");
  return Reader(untrusted_text).read();
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace mlxguard::mirror
