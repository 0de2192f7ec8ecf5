// SPDX-License-Identifier: Apache-2.0
#include "inspect/template_scan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <span>

#include "base/limits.h"
#include "inspect/constant_expression.h"
#include "inspect/template_tokens.h"
#include "codec/unicode.h"

namespace mlxguard::inspect {
namespace {

/// Attributes without underscores that lead from ordinary values to frames and code.
constexpr std::array<std::string_view, 18> kInternalAttributes{
    "mro",       "im_class", "im_func",    "im_self", "func_globals", "func_code",
    "gi_frame",  "gi_code",  "cr_frame",   "cr_code", "ag_frame",     "ag_code",
    "f_globals", "f_locals", "f_builtins", "f_back",  "tb_frame",     "co_code"};
/// Functions that renderers of chat templates offer.
constexpr std::array<std::string_view, 9> kKnownFunctions{
    "range",  "raise_exception", "strftime_now", "namespace", "dict",
    "joiner", "cycler",          "caller",       "loop"};
constexpr std::array<std::string_view, 14> kKeywords{"and",  "or",    "not",  "in",       "is",
                                                     "if",   "else",  "elif", "for",      "set",
                                                     "call", "print", "do",   "recursive"};
/// Filters and methods that make text as long as a number says.
constexpr std::array<std::string_view, 6> kWideners{"center", "ljust",  "rjust",
                                                    "zfill",  "indent", "lipsum"};

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_lower(char c) { return (c >= 'a' && c <= 'z') || c == '_'; }

/// __word__ somewhere in the text.
bool names_internal(std::string_view text) {
  for (std::size_t at = text.find("__"); at != std::string_view::npos;
       at = text.find("__", at + 1)) {
    std::size_t end = at + 2;
    while (end < text.size() && is_lower(text[end])) ++end;
    if (end - at > 4 && text.substr(end - 2, 2) == "__") return true;
  }
  return false;
}

/// "__cla", "ss__": what puts a name together begins or ends with such.
bool is_piece_of_internal(std::string_view text) {
  if (text.size() < 3 || names_internal(text)) return false;
  return (text.starts_with("__") && is_lower(text[2])) ||
         (text.ends_with("__") && is_lower(text[text.size() - 3]));
}

class Scan {
 public:
  Scan(std::string_view text, const std::string& name, TemplateOrigin origin, Findings& findings,
       Place inside_at)
      : text_(text), name_(name), origin_(origin), findings_(findings), inside_at_(inside_at) {}

  void run() {
    look_for_hidden_text();
    auto tokenized = tokenize_template(text_);
    if (!tokenized) {
      findings_.gap(name_ + ": " + tokenized.error().message);
      return;
    }
    if (!tokenized->malformed.empty()) {
      add(Rule::kTemplateInvalid, tokenized->malformed, {}, tokenized->malformed_line);
    }
    tokens_ = fold_strings(std::move(tokenized->tokens));
    note_macros();
    for (at_ = 0; at_ < tokens_.size(); ++at_) {
      look_at_names();
      look_at_strings();
      look_at_keys();
      look_at_attributes_by_name();
      look_at_blocks();
      look_at_calls();
      look_at_work();
    }
  }

 private:
  /// 'a' 'b', 'a' ~ 'b' and 'a' + 'b' are one string: so does Jinja join them.
  static std::vector<Token> fold_strings(std::vector<Token> tokens) {
    std::vector<Token> out;
    for (Token& token : tokens) {
      if (token.kind == TokenKind::kString && !out.empty()) {
        const bool joined = out.size() >= 2 && out.back().kind == TokenKind::kOperator &&
                            (out.back().text == "~" || out.back().text == "+") &&
                            out[out.size() - 2].kind == TokenKind::kString;
        if (joined) out.pop_back();
        if (out.back().kind == TokenKind::kString) {
          out.back().text += token.text;
          continue;
        }
      }
      out.push_back(std::move(token));
    }
    return out;
  }

  void add(Rule rule, std::string_view reason, std::string_view evidence, std::uint64_t line) {
    if (!reported_.emplace(rule, std::string(evidence)).second) return;
    std::string said = std::string(reason);
    Place place;
    if (origin_ == TemplateOrigin::kFile) {
      place.line = line;
    } else {
      said += " (" + name_ + ", line " + std::to_string(line) + ")";
      place = inside_at_;
    }
    findings_.add(rule, std::move(said), evidence, place);
  }
  void add(Rule rule, std::string_view reason, std::string_view evidence) {
    add(rule, reason, evidence, tokens_[at_].line);
  }

  [[nodiscard]] bool is(std::size_t index, std::string_view operator_text) const {
    return index < tokens_.size() && tokens_[index].kind == TokenKind::kOperator &&
           tokens_[index].text == operator_text;
  }
  [[nodiscard]] bool is_name(std::size_t index, std::string_view name) const {
    return index < tokens_.size() && tokens_[index].kind == TokenKind::kName &&
           tokens_[index].text == name;
  }
  [[nodiscard]] bool after(std::string_view operator_text) const {
    return at_ > 0 && is(at_ - 1, operator_text);
  }

  void look_for_hidden_text() {
    std::uint64_t line = 1;
    for (std::size_t at = 0; at < text_.size();) {
      const codec::CodePoint point = codec::decode_utf8(text_.substr(at));
      if (point.value == '\n') ++line;
      if (point.valid && codec::hides_text(point.value)) {
        const std::size_t from = at < 20 ? 0 : at - 20;
        add(Rule::kTemplateHidden, "invisible or direction-changing characters",
            text_.substr(from, 60), line);
        return;
      }
      at += point.bytes;
    }
  }

  void note_macros() {
    for (std::size_t i = 0; i + 2 < tokens_.size(); ++i) {
      const bool named = tokens_[i + 1].kind == TokenKind::kName;
      if (named && (is_name(i, "macro") || is_name(i, "set"))) defined_.insert(tokens_[i + 1].text);
      if (named && is_name(i, "set") && puts_text_together(i + 2)) {
        computed_.insert(tokens_[i + 1].text);
      }
    }
  }
  /// Whether what stands from here to the end of the tag makes text out of pieces.
  [[nodiscard]] bool puts_text_together(std::size_t from) const {
    for (std::size_t i = from; i < tokens_.size(); ++i) {
      if (tokens_[i].kind == TokenKind::kBlockEnd) return false;
      if (is(i, "~") || changes_text(i)) return true;
    }
    return false;
  }
  /// A filter or a method that makes other text of text: |join, .format(
  [[nodiscard]] bool changes_text(std::size_t at) const {
    constexpr std::array<std::string_view, 13> kChangers{
        "join",  "format", "reverse",  "replace",    "lower",  "upper",    "title",
        "strip", "trim",   "swapcase", "capitalize", "decode", "translate"};
    const bool filter = is(at, "|");
    const bool method = is(at, ".") && is(at + 2, "(");
    return (filter || method) && at + 1 < tokens_.size() &&
           tokens_[at + 1].kind == TokenKind::kName && contains(kChangers, tokens_[at + 1].text);
  }

  void look_at_names() {
    const Token& token = tokens_[at_];
    if (token.kind != TokenKind::kName) return;
    if (token.text.starts_with("__")) {
      add(Rule::kTemplateAttribute, "names a Python internal", token.text);
    } else if (after(".") &&
               (token.text.starts_with("_") || contains(kInternalAttributes, token.text))) {
      add(Rule::kTemplateAttribute, "reads an attribute that is internal to Python", token.text);
    }
    if (after("|") && token.text == "attr") {
      add(Rule::kTemplateComputed, "the attr filter reads an attribute by a computed name",
          "|attr");
    }
  }

  void look_at_strings() {
    const Token& token = tokens_[at_];
    if (token.kind != TokenKind::kString) return;
    const bool key = after("[") && is(at_ + 1, "]");
    if (names_internal(token.text) || (key && token.text.starts_with("_"))) {
      add(Rule::kTemplateAttribute, "names a Python internal in a string", token.text);
    }
    if (is_piece_of_internal(token.text)) {
      add(Rule::kTemplateComputed, "a piece of the name of a Python internal", token.text);
    }
    if (token.text.find("%c") != std::string::npos) {
      add(Rule::kTemplateComputed, "builds text out of character numbers", token.text);
    }
  }

  /// A key in brackets that is put together at run time: x['__cl' ~ y].
  void look_at_keys() {
    if (!is(at_, "[") || at_ == 0) return;
    const Token& before = tokens_[at_ - 1];
    const bool postfix = before.kind == TokenKind::kName || before.kind == TokenKind::kString ||
                         is(at_ - 1, ")") || is(at_ - 1, "]");
    if (!postfix || (before.kind == TokenKind::kName && contains(kKeywords, before.text))) return;
    std::size_t depth = 0;
    for (std::size_t i = at_; i < tokens_.size(); ++i) {
      const TokenKind kind = tokens_[i].kind;
      if (kind == TokenKind::kBlockEnd || kind == TokenKind::kValueEnd) return;
      if (is(i, "[") || is(i, "(") || is(i, "{")) ++depth;
      if ((is(i, "]") || is(i, ")") || is(i, "}")) && --depth == 0) return;
      const bool next_to_text =
          (i > 0 && tokens_[i - 1].kind == TokenKind::kString) ||
          (i + 1 < tokens_.size() && tokens_[i + 1].kind == TokenKind::kString);
      const bool computed_before = depth == 1 && i == at_ + 1 && is(i + 1, "]") &&
                                   tokens_[i].kind == TokenKind::kName &&
                                   computed_.contains(tokens_[i].text);
      if (computed_before ||
          (depth == 1 && (is(i, "~") || (is(i, "+") && next_to_text) || changes_text(i)))) {
        add(Rule::kTemplateComputed, "a key in brackets is put together at run time",
            source_from(at_ - 1));
        return;
      }
    }
  }

  /// map(attribute=x), groupby(attribute=x), map('attr', x): attributes by a name that is not there
  /// to be read.
  void look_at_attributes_by_name() {
    const bool keyword = is_name(at_, "attribute") && is(at_ + 1, "=") &&
                         at_ + 2 < tokens_.size() && tokens_[at_ + 2].kind != TokenKind::kString;
    const bool filter =
        tokens_[at_].kind == TokenKind::kString && tokens_[at_].text == "attr" && after("(");
    if (keyword || filter) {
      add(Rule::kTemplateComputed, "a filter reads an attribute by a computed name",
          source_from(at_));
    }
  }

  void look_at_blocks() {
    if (tokens_[at_].kind != TokenKind::kBlockBegin || at_ + 1 >= tokens_.size()) return;
    const Token& word = tokens_[at_ + 1];
    if (word.kind != TokenKind::kName) return;
    constexpr std::array<std::string_view, 4> kLoaders{"include", "import", "from", "extends"};
    if (contains(kLoaders, word.text)) {
      add(Rule::kTemplateInclude, "loads another template", source_from(at_));
    }
    if (word.text == "for") loops_.push_back(loop_turns(at_));
    if (word.text == "endfor" && !loops_.empty()) loops_.pop_back();
  }

  void look_at_calls() {
    const Token& token = tokens_[at_];
    if (token.kind != TokenKind::kName || !is(at_ + 1, "(") || after(".") || after("|")) return;
    const bool test_or_definition =
        at_ > 0 && (is_name(at_ - 1, "is") || is_name(at_ - 1, "not") ||
                    is_name(at_ - 1, "macro") || is_name(at_ - 1, "filter"));
    if (test_or_definition || contains(kKeywords, token.text) ||
        contains(kKnownFunctions, token.text) || defined_.contains(token.text)) {
      return;
    }
    add(Rule::kTemplateCall, "calls a function that chat templates are not given", token.text);
  }

  /// Turns of `for x in range(constant)` in this tag; 1 where they are not known.
  [[nodiscard]] double loop_turns(std::size_t from) const {
    for (std::size_t i = from; i < tokens_.size() && tokens_[i].kind != TokenKind::kBlockEnd; ++i) {
      if (is_name(i, "range") && is(i + 1, "(")) return std::max(1.0, range_size(i + 1));
    }
    return 1;
  }
  /// The turns of range( ... ) whose bracket is at `open`; 0 where they are not constant.
  [[nodiscard]] double range_size(std::size_t open) const {
    const std::vector<double> arguments = constant_arguments(tokens_, open);
    if (arguments.empty() || std::isnan(arguments[0])) return 0;
    if (arguments.size() == 1) return arguments[0];
    const double step = arguments.size() > 2 && arguments[2] != 0 ? arguments[2] : 1;
    return std::isnan(arguments[1]) || std::isnan(step) ? 0 : (arguments[1] - arguments[0]) / step;
  }

  void look_at_work() {
    const Token& token = tokens_[at_];
    constexpr auto kMost = static_cast<double>(limits::kInspectLoopMax);
    if (token.kind == TokenKind::kName && is(at_ + 1, "(")) {
      if (token.text == "range" && !after(".")) {
        double turns = 1;
        for (const double loop : loops_) turns *= loop;
        // A range outside of a loop tag is a list of its own.
        const double size = range_size(at_ + 1);
        if (std::max(turns, size) > kMost) {
          add(Rule::kTemplateLoop, "a range of more turns than any template needs",
              source_from(at_));
        }
      }
      if (contains(kWideners, token.text)) {
        for (const double width : constant_arguments(tokens_, at_ + 1)) {
          if (width > kMost)
            add(Rule::kTemplateLoop, "makes text of enormous length", source_from(at_));
        }
      }
    }
    if (is(at_, "*") || is(at_, "**")) {
      const bool repeats_text = is(at_, "*") && at_ > 0 &&
                                (tokens_[at_ - 1].kind == TokenKind::kString || is(at_ - 1, "]"));
      const double value = constant_operand(tokens_, at_ + 1);
      const double whole = constant_around(tokens_, at_);
      if ((repeats_text && value > kMost) || whole > 1e15) {
        add(Rule::kTemplateLoop, "computes an enormous number or text", source_from(at_ - 1));
      }
    }
  }

  /// The template's own text from this token to the end of its tag, for evidence.
  [[nodiscard]] std::string_view source_from(std::size_t index) const {
    constexpr std::size_t kShown = 80;
    std::string_view source = text_.substr(tokens_[index].offset);
    for (const std::string_view end : {"%}", "}}"}) {
      if (const auto at = source.find(end); at != std::string_view::npos) {
        source = source.substr(0, at + (index == at_ ? end.size() : 0));
      }
    }
    return source.substr(0, kShown);
  }

  std::string_view text_;
  const std::string& name_;
  TemplateOrigin origin_;
  Findings& findings_;
  Place inside_at_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::set<std::string, std::less<>> defined_, computed_;  ///< names; whose text is made of pieces
  std::set<std::pair<Rule, std::string>> reported_;
  std::vector<double> loops_;
};

}  // namespace

void scan_template(std::string_view untrusted_text, const std::string& name, TemplateOrigin origin,
                   Findings& findings, Place inside_at) {
  Scan(untrusted_text, name, origin, findings, inside_at).run();
}

}  // namespace mlxguard::inspect
