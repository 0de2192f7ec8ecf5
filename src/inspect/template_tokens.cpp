// SPDX-License-Identifier: Apache-2.0
#include "inspect/template_tokens.h"

#include <array>

#include "base/ascii.h"
#include "base/limits.h"

namespace mlxguard::inspect {
namespace {

bool is_name_start(char c) {
  return is_ascii_letter(c) || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name(char c) { return is_name_start(c) || is_ascii_digit(c); }
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

class Tokenizer {
 public:
  explicit Tokenizer(std::string_view text) : text_(text) {}

  Result<TemplateTokens> run() {
    while (at_ < text_.size() && out_.malformed.empty()) {
      if (out_.tokens.size() > limits::kInspectTemplateTokensMax) {
        return make_error(ErrorCode::kTooLarge, "a template of more tokens than are read");
      }
      if (mode_ == Mode::kText) {
        skip_text();
      } else {
        read_code();
      }
    }
    if (mode_ != Mode::kText && out_.malformed.empty()) fail("a tag that is not closed");
    return std::move(out_);
  }

 private:
  enum class Mode : std::uint8_t { kText, kBlock, kValue };

  [[nodiscard]] bool here(std::string_view what) const {
    return text_.substr(at_).starts_with(what);
  }
  void advance(std::size_t count) {
    for (std::size_t i = 0; i < count && at_ < text_.size(); ++i, ++at_) {
      if (text_[at_] == '\n') ++line_;
    }
  }
  void push(TokenKind kind, std::size_t count, std::string text) {
    out_.tokens.push_back({kind, std::move(text), at_, line_});
    advance(count);
  }
  void fail(std::string_view why) {
    out_.malformed = why;
    out_.malformed_line = line_;
    at_ = text_.size();
  }

  /// Up to the next tag. Comments are skipped; a raw block's inside is text.
  void skip_text() {
    std::size_t next = at_;
    while (true) {
      next = text_.find('{', next);
      if (next == std::string_view::npos || next + 1 >= text_.size()) {
        advance(text_.size() - at_);
        return;
      }
      const char second = text_[next + 1];
      if (second == '%' || second == '{' || second == '#') break;
      ++next;
    }
    advance(next - at_);
    if (here("{#")) {
      const std::size_t end = text_.find("#}", at_ + 2);
      if (end == std::string_view::npos) return fail("a comment that is not closed");
      advance(end + 2 - at_);
    } else if (here("{%")) {
      if (skip_raw()) return;
      push(TokenKind::kBlockBegin, 2, "{%");
      mode_ = Mode::kBlock;
    } else {
      push(TokenKind::kValueBegin, 2, "{{");
      mode_ = Mode::kValue;
    }
    if (mode_ != Mode::kText) skip_strip_mark();
  }

  void skip_strip_mark() {
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) advance(1);
  }

  /// `{% raw %}`, with optional marks and spaces, at `from`; the length of the tag, or 0.
  [[nodiscard]] std::size_t tag_length(std::size_t from, std::string_view name) const {
    std::size_t at = from + 2;
    if (at < text_.size() && (text_[at] == '-' || text_[at] == '+')) ++at;
    while (at < text_.size() && is_space(text_[at])) ++at;
    if (!text_.substr(at).starts_with(name)) return 0;
    at += name.size();
    while (at < text_.size() && is_space(text_[at])) ++at;
    if (at < text_.size() && (text_[at] == '-' || text_[at] == '+')) ++at;
    return text_.substr(at).starts_with("%}") ? at + 2 - from : 0;
  }

  bool skip_raw() {
    const std::size_t begin = tag_length(at_, "raw");
    if (begin == 0) return false;
    std::size_t end = at_ + begin;
    while (true) {
      end = text_.find("{%", end);
      if (end == std::string_view::npos) {
        fail("a raw block that is not closed");
        return true;
      }
      if (const std::size_t length = tag_length(end, "endraw"); length != 0) {
        advance(end + length - at_);
        return true;
      }
      end += 2;
    }
  }

  void read_code() {
    const char c = text_[at_];
    if (is_space(c)) return advance(1);
    if (close_tag()) return;
    if (c == '"' || c == '\'') return read_string(c);
    if (is_ascii_digit(c)) return read_number();
    if (is_name_start(c)) {
      std::size_t end = at_;
      while (end < text_.size() && is_name(text_[end])) ++end;
      return push(TokenKind::kName, end - at_, std::string(text_.substr(at_, end - at_)));
    }
    constexpr std::array<std::string_view, 6> kPairs{"**", "//", "==", "!=", "<=", ">="};
    for (const std::string_view pair : kPairs) {
      if (here(pair)) return push(TokenKind::kOperator, 2, std::string(pair));
    }
    const auto deeper = std::string_view("([{").find(c) != std::string_view::npos;
    if (deeper) ++depth_;
    if (!deeper && depth_ > 0 && std::string_view(")]}").find(c) != std::string_view::npos)
      --depth_;
    push(TokenKind::kOperator, 1, std::string(1, c));
  }

  bool close_tag() {
    const std::string_view end = mode_ == Mode::kBlock ? "%}" : "}}";
    std::size_t mark = 0;
    if ((text_[at_] == '-' || text_[at_] == '+') && text_.substr(at_ + 1).starts_with(end))
      mark = 1;
    if (mark == 0 && !here(end)) return false;
    // In `{{ {'a': {}} }}` the first }} closes two dictionaries.
    if (depth_ > 0) return false;
    push(mode_ == Mode::kBlock ? TokenKind::kBlockEnd : TokenKind::kValueEnd, end.size() + mark,
         std::string(end));
    mode_ = Mode::kText;
    depth_ = 0;
    return true;
  }

  void read_number() {
    std::size_t end = at_;
    while (end < text_.size() && (is_name(text_[end]))) ++end;
    TokenKind kind = TokenKind::kInteger;
    if (end + 1 < text_.size() && text_[end] == '.' && is_ascii_digit(text_[end + 1])) {
      kind = TokenKind::kNumber;
      ++end;
      while (end < text_.size() && is_name(text_[end])) ++end;
    }
    std::string digits;
    bool hexadecimal = text_.substr(at_).starts_with("0x") || text_.substr(at_).starts_with("0X");
    for (const char c : text_.substr(at_, end - at_)) {
      if (c != '_') digits += c;
      if ((c == 'e' || c == 'E') && !hexadecimal) kind = TokenKind::kNumber;
    }
    push(kind, end - at_, std::move(digits));
  }

  void read_string(char quote) {
    std::string value;
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) {
      if (text_[end] != '\\' || end + 1 >= text_.size()) {
        value += text_[end++];
        continue;
      }
      end = read_escape(end + 1, value);
    }
    if (end >= text_.size()) return fail("a string that is not closed");
    push(TokenKind::kString, end + 1 - at_, std::move(value));
  }

  /// As Python reads it; what is beyond ASCII matters to nobody here and becomes '?'.
  std::size_t read_escape(std::size_t at, std::string& value) const {
    const char c = text_[at];
    std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    int base = 16;
    std::size_t from = at + 1;
    if (c >= '0' && c <= '7') digits = 3, base = 8, from = at;
    if (digits == 0) {
      value += c == 'n' ? '\n' : c == 't' ? '\t' : c;
      return at + 1;
    }
    unsigned code = 0;
    std::size_t end = from;
    while (end < text_.size() && end < from + digits) {
      const auto digit = hex_digit_value(text_[end]);
      if (!digit || *digit >= static_cast<unsigned>(base)) break;
      code = (code * static_cast<unsigned>(base) + *digit) & 0x1FFFFF;
      ++end;
    }
    value += code < 0x80 ? static_cast<char>(code) : '?';
    return end;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 1;
  Mode mode_ = Mode::kText;
  std::size_t depth_ = 0;
  TemplateTokens out_;
};

}  // namespace

Result<TemplateTokens> tokenize_template(std::string_view untrusted_text) {
  if (untrusted_text.size() > limits::kInspectTemplateBytesMax) {
    return make_error(ErrorCode::kTooLarge, "a template larger than is read");
  }
  return Tokenizer(untrusted_text).run();
}

}  // namespace mlxguard::inspect
