// SPDX-License-Identifier: Apache-2.0
#include "inventory/requirement.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <optional>

#include "inventory/identity.h"
#include "inventory/knowledge.h"

namespace mlxguard::inventory {
namespace {

constexpr std::size_t kRequirementBytesMax = 16u << 10;
constexpr int kMarkerDepthMax = 32;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_name_end(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_name(char c) { return is_name_end(c) || c == '-' || c == '_' || c == '.'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

Error refuse(std::string message) { return make_error(ErrorCode::kRequirement, std::move(message)); }

/// A name from the start of `text`, which is moved behind it.
std::optional<std::string> take_name(std::string_view& text) {
  text = trimmed(text);
  std::size_t end = 0;
  while (end < text.size() && is_name(text[end])) ++end;
  if (end == 0 || !is_name_end(text[0]) || !is_name_end(text[end - 1])) return std::nullopt;
  std::string name = normalize_name(text.substr(0, end));
  text = trimmed(text.substr(end));
  return name;
}

Result<void> check_specifier(std::string_view specifier) {
  if (specifier.empty()) return {};
  constexpr std::array<std::string_view, 8> kOperators = {"===", "==", "!=", "<=", ">=", "~=", "<", ">"};
  for (std::size_t at = 0; at <= specifier.size();) {
    const std::size_t end = std::min(specifier.find(',', at), specifier.size());
    const std::string_view clause = trimmed(specifier.substr(at, end - at));
    at = end + 1;
    if (clause.empty()) continue;
    const auto* found = std::find_if(kOperators.begin(), kOperators.end(),
                                     [&](std::string_view one) { return clause.starts_with(one); });
    if (found == kOperators.end()) return refuse("expected a version specifier");
    const std::string_view version = trimmed(clause.substr(found->size()));
    const bool plain = !version.empty() && std::all_of(version.begin(), version.end(), [](char c) {
      return is_name(c) || c == '*' || c == '+' || c == '!';
    });
    if (!plain) return refuse("expected a version after " + std::string(*found));
  }
  return {};
}

std::string pinned_version(std::string_view specifier) {
  if (!specifier.starts_with("==") || specifier.find(',') != std::string_view::npos ||
      specifier.find('*') != std::string_view::npos) {
    return {};
  }
  specifier.remove_prefix(specifier.starts_with("===") ? 3 : 2);
  return std::string(trimmed(specifier));
}

class MarkerReader {
 public:
  MarkerReader(std::string_view text, const MarkerContext& context)
      : text_(text), context_(context) {}

  Result<bool> read() {
    MLXGUARD_TRY_ASSIGN(const bool holds, either(0));
    skip();
    if (at_ != text_.size()) return bad("expected the marker to end");
    return holds;
  }

 private:
  struct Value {
    std::string text;
    std::string variable;  ///< empty: a literal
  };

  static Error bad(std::string message) { return make_error(ErrorCode::kMarker, std::move(message)); }
  void skip() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(std::string_view word) {
    skip();
    if (!text_.substr(at_).starts_with(word)) return false;
    const std::size_t end = at_ + word.size();
    const bool letters = is_name(word.back());
    if (letters && end < text_.size() && is_name(text_[end])) return false;
    at_ = end;
    return true;
  }

  Result<bool> either(int depth) {
    MLXGUARD_TRY_ASSIGN(bool holds, both(depth));
    while (take("or")) {
      MLXGUARD_TRY_ASSIGN(const bool next, both(depth));
      holds = holds || next;
    }
    return holds;
  }
  Result<bool> both(int depth) {
    MLXGUARD_TRY_ASSIGN(bool holds, term(depth));
    while (take("and")) {
      MLXGUARD_TRY_ASSIGN(const bool next, term(depth));
      holds = holds && next;
    }
    return holds;
  }
  Result<bool> term(int depth) {
    if (depth > kMarkerDepthMax) return bad("nested deeper than allowed");
    if (take("(")) {
      MLXGUARD_TRY_ASSIGN(const bool holds, either(depth + 1));
      if (!take(")")) return bad("expected a closing bracket");
      return holds;
    }
    MLXGUARD_TRY_ASSIGN(const Value left, value());
    constexpr std::array<std::string_view, 8> kOperators = {"===", "==", "!=", "<=", ">=", "~=", "<", ">"};
    std::string_view comparison;
    for (const std::string_view one : kOperators) {
      if (comparison.empty() && take(one)) comparison = one;
    }
    if (comparison.empty() && take("in")) comparison = "in";
    if (comparison.empty() && take("not")) {
      if (!take("in")) return bad("expected in after not");
      comparison = "not in";
    }
    if (comparison.empty()) return bad("expected a comparison");
    MLXGUARD_TRY_ASSIGN(const Value right, value());
    return compare(left, comparison, right);
  }

  Result<Value> value() {
    skip();
    if (at_ >= text_.size()) return bad("expected a value, found the end");
    const char quote = text_[at_];
    if (quote == '\'' || quote == '"') {
      const auto end = text_.find(quote, at_ + 1);
      if (end == std::string_view::npos) return bad("a string does not end");
      Value literal{std::string(text_.substr(at_ + 1, end - at_ - 1)), ""};
      at_ = end + 1;
      return literal;
    }
    const std::size_t start = at_;
    while (at_ < text_.size() && is_name(text_[at_])) ++at_;
    std::string name(text_.substr(start, at_ - start));
    std::replace(name.begin(), name.end(), '.', '_');  // os.name, as it was written long ago
    if (name == "extra") return Value{"", name};
    const auto found = context_.values.find(name);
    if (found == context_.values.end()) return bad("an unknown marker variable");
    return Value{found->second, name};
  }

  [[nodiscard]] bool compare(const Value& left, std::string_view comparison, const Value& right) const {
    if (left.variable == "extra" || right.variable == "extra") {
      const std::string extra = normalize_name(left.variable == "extra" ? right.text : left.text);
      const bool in_use = context_.extras.contains(extra);
      return comparison == "!=" ? !in_use : in_use;
    }
    if (comparison == "in") return right.text.find(left.text) != std::string::npos;
    if (comparison == "not in") return right.text.find(left.text) == std::string::npos;
    const std::string& variable = left.variable.empty() ? right.variable : left.variable;
    if (variable == "python_version" || variable == "python_full_version" ||
        variable == "implementation_version") {
      return compare_versions(left.text, comparison, right.text);
    }
    if (comparison == "==" || comparison == "===") return left.text == right.text;
    if (comparison == "!=") return left.text != right.text;
    if (comparison == "<") return left.text < right.text;
    if (comparison == "<=") return left.text <= right.text;
    if (comparison == ">") return left.text > right.text;
    if (comparison == ">=") return left.text >= right.text;
    return false;
  }

  static bool compare_versions(std::string left, std::string_view comparison, std::string right) {
    if (left.empty() || right.empty()) return true;  // this Python is not known: nothing is left out
    if (right.ends_with(".*")) {
      const std::string prefix = right.substr(0, right.size() - 1);
      const bool below = (left + ".").starts_with(prefix);
      return comparison == "!=" ? !below : below;
    }
    const int order = compare_releases(left, right);
    if (comparison == "==" || comparison == "===") return order == 0;
    if (comparison == "!=") return order != 0;
    if (comparison == "<") return order < 0;
    if (comparison == "<=") return order <= 0;
    if (comparison == ">") return order > 0;
    if (comparison == ">=") return order >= 0;
    const auto dot = right.rfind('.');  // ~=
    return order >= 0 && (left + ".").starts_with(right.substr(0, dot) + ".");
  }

  std::string_view text_;
  const MarkerContext& context_;
  std::size_t at_ = 0;
};

}  // namespace

std::string normalize_name(std::string_view name) {
  const auto parts = read_purl(pypi_purl(name, ""));
  return parts ? parts->name : std::string(name);
}

Result<Requirement> read_requirement(std::string_view text) {
  if (text.size() > kRequirementBytesMax) return refuse("longer than any requirement may be");
  Requirement requirement;
  auto name = take_name(text);
  if (!name) return refuse("expected a package name");
  requirement.name = *std::move(name);
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return refuse("a list of extras does not end");
    std::string_view list = text.substr(1, end - 1);
    while (!trimmed(list).empty()) {
      const std::size_t comma = std::min(list.find(','), list.size());
      std::string_view one = list.substr(0, comma);
      auto extra = take_name(one);
      if (!extra || !one.empty()) return refuse("expected the name of an extra");
      requirement.extras.push_back(*std::move(extra));
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
    text = trimmed(text.substr(end + 1));
  }
  if (text.starts_with('@')) {
    text = trimmed(text.substr(1));
    // In a URL only a semicolon after white space begins the marker.
    std::size_t end = 0;
    while (end < text.size() && !is_space(text[end])) ++end;
    requirement.url = text.substr(0, end);
    text = trimmed(text.substr(end));
    if (requirement.url.empty()) return refuse("expected a URL after @");
    if (!text.empty() && !text.starts_with(';')) return refuse("expected a marker after the URL");
  }
  const auto semicolon = text.find(';');
  std::string_view specifier = trimmed(text.substr(0, semicolon));
  if (semicolon != std::string_view::npos) {
    requirement.marker = trimmed(text.substr(semicolon + 1));
    if (requirement.marker.empty()) return refuse("expected a marker after the semicolon");
  }
  if (specifier.starts_with('(') && specifier.ends_with(')')) {
    specifier = trimmed(specifier.substr(1, specifier.size() - 2));
  }
  MLXGUARD_TRY(check_specifier(specifier));
  requirement.specifier = specifier;
  requirement.pinned = pinned_version(specifier);
  return requirement;
}

MarkerContext marker_context(std::string_view python_version) {
  MarkerContext context;
  struct utsname machine {};
  ::uname(&machine);
  const std::string full(python_version);
  std::string shorter = full;
  if (const auto dot = full.find('.'); dot != std::string::npos) {
    shorter = full.substr(0, full.find('.', dot + 1));
  }
  context.values = {{"python_version", shorter},
                    {"python_full_version", full},
                    {"implementation_version", full},
                    {"os_name", "posix"},
                    {"sys_platform", "linux"},
                    {"platform_system", machine.sysname},
                    {"platform_machine", machine.machine},
                    {"platform_release", machine.release},
                    {"platform_version", machine.version},
                    {"platform_python_implementation", "CPython"},
                    {"python_implementation", "CPython"},
                    {"implementation_name", "cpython"}};
  return context;
}

Result<bool> marker_holds(std::string_view marker, const MarkerContext& context) {
  if (trimmed(marker).empty()) return true;
  return MarkerReader(marker, context).read();
}

}  // namespace mlxguard::inventory
