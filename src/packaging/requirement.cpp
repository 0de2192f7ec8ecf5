// SPDX-License-Identifier: Apache-2.0
#include "packaging/requirement.h"

#include <algorithm>
#include <set>

#include "base/limits.h"
#include "packaging/scan.h"

namespace mlxguard::packaging {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<Requirement> read() {
    Requirement out;
    skip_space();
    MLXGUARD_TRY_ASSIGN(out.name, read_name("the name of a package"));
    skip_space();
    MLXGUARD_TRY(read_extras(out));
    skip_space();
    if (take('@')) {
      MLXGUARD_TRY(read_url(out));
    } else {
      MLXGUARD_TRY(read_specifiers(out));
    }
    skip_space();
    if (take(';')) {
      MLXGUARD_TRY_ASSIGN(out.marker, Marker::parse(text_.substr(at_)));
      return out;
    }
    if (at_ != text_.size()) return expected("a specifier, `;` or the end");
    return out;
  }

 private:
  [[nodiscard]] bool ended() const { return at_ >= text_.size(); }
  bool take(char wanted) {
    if (ended() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (!ended() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  [[nodiscard]] Error expected(std::string_view what) const {
    return make_error(ErrorCode::kRequirement,
                      "expected " + std::string(what) + " at column " + std::to_string(at_ + 1))
        .about(std::string(text_));
  }

  Result<std::string> read_name(std::string_view what) {
    std::size_t end = at_;
    while (end < text_.size() && (is_ascii_alphanumeric(text_[end]) || text_[end] == '.' ||
                                  text_[end] == '_' || text_[end] == '-')) {
      ++end;
    }
    std::string name(text_.substr(at_, end - at_));
    // Installers let a name end in an underscore, too.
    const bool good = !name.empty() && is_ascii_alphanumeric(name.front()) &&
                      (is_ascii_alphanumeric(name.back()) || name.back() == '_');
    if (!good) return expected(what);
    at_ = end;
    return name;
  }

  Result<void> read_extras(Requirement& out) {
    if (!take('[')) return {};
    skip_space();
    if (take(']')) return {};
    for (;;) {
      MLXGUARD_TRY_ASSIGN(std::string extra, read_name("the name of an extra"));
      out.extras.push_back(std::move(extra));
      skip_space();
      if (take(']')) return {};
      if (!take(',')) return expected("`,` or `]`");
      skip_space();
    }
  }

  Result<void> read_url(Requirement& out) {
    skip_space();
    const std::size_t end = std::min(text_.find_first_of(" \t", at_), text_.size());
    out.url = text_.substr(at_, end - at_);
    at_ = end;
    if (out.url.empty()) return expected("a URL");
    return {};
  }

  Result<void> read_specifiers(Requirement& out) {
    const bool enclosed = take('(');
    const std::size_t end = std::min(text_.find_first_of(enclosed ? ")" : ";", at_), text_.size());
    const std::string_view list = text_.substr(at_, end - at_);
    MLXGUARD_TRY_ASSIGN(out.specifiers, SpecifierSet::parse(list));
    // A comma before the first specifier or two in a row is a slip that could hide something.
    for (std::size_t from = 0, comma = 0; (comma = list.find(',', from)) != std::string_view::npos;
         from = comma + 1) {
      if (trim(list.substr(from, comma - from)).empty()) return expected("a specifier");
    }
    if (!ends_arbitrary(list)) return expected("a comma apart from what === compares");
    at_ = end;
    if (enclosed && !take(')')) return expected("a closing parenthesis");
    return {};
  }

  /// What === compares ends at white space alone: in "===1.0, !=2.0" a comma is part of it, and
  /// none stands before the next specifier.
  static bool ends_arbitrary(std::string_view list) {
    const auto skip = [&](std::size_t at, bool space) {
      while (at < list.size() && is_space(list[at]) == space) ++at;
      return at;
    };
    for (std::size_t at = list.find("==="); at != std::string_view::npos;
         at = list.find("===", at)) {
      at = skip(skip(skip(at + 3, true), false), true);
      if (at < list.size() && list[at] != ',') return false;
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Requirement> Requirement::parse(std::string_view text) {
  if (text.size() > limits::kRequirementBytesMax) {
    return make_error(ErrorCode::kTooLarge, "a requirement longer than any real one");
  }
  return Reader(text).read();
}

std::string Requirement::text() const {
  std::string out = name;
  const std::set<std::string> sorted(extras.begin(), extras.end());
  for (const std::string& extra : sorted) out += (extra == *sorted.begin() ? "[" : ",") + extra;
  if (!sorted.empty()) out += "]";
  out += specifiers.text();
  if (!url.empty()) out += " @ " + url + (marker ? " " : "");
  if (marker) out += "; " + marker->text();
  return out;
}

}  // namespace mlxguard::packaging
