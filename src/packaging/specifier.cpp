// SPDX-License-Identifier: Apache-2.0
#include "packaging/specifier.h"

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "packaging/scan.h"

namespace mlxguard::packaging {
namespace {

struct OperatorRow {
  std::string_view text;
  Specifier::Operator op;
};
// Longer ones before their beginnings.
constexpr std::array<OperatorRow, 8> kOperators{{
    {"===", Specifier::Operator::kArbitrary},
    {"~=", Specifier::Operator::kCompatible},
    {"==", Specifier::Operator::kEqual},
    {"!=", Specifier::Operator::kNotEqual},
    {"<=", Specifier::Operator::kLessEqual},
    {">=", Specifier::Operator::kGreaterEqual},
    {"<", Specifier::Operator::kLess},
    {">", Specifier::Operator::kGreater},
}};

Error invalid(std::string_view text) {
  return make_error(ErrorCode::kSpecifier, "expected a specifier such as >=1.2")
      .about(std::string(text));
}

/// The digits of a release segment, or zero beyond its end: 1.2 is 1.2.0.
Digits segment(const Version& version, std::size_t index) {
  return index < version.release().size() ? version.release()[index] : Digits();
}

bool same_release(const Version& version, const Version& prefix, std::size_t segments) {
  if (version.epoch() != prefix.epoch()) return false;
  for (std::size_t i = 0; i < segments; ++i) {
    if (segment(version, i) != segment(prefix, i)) return false;
  }
  return true;
}

bool is_less(const Version& version, const Version& bound) {
  if (!(version < bound)) return false;
  if (bound.is_prerelease() || !version.is_prerelease()) return true;
  // <3.1 does not mean 3.1rc1, and <3.1.post2 not 3.1.post2.dev1; it does mean 3.1rc1.post2.
  if (version.base() != bound.base()) return true;
  return bound.is_postrelease() && (version.pre() || version.post() != bound.post());
}

bool is_greater(const Version& version, const Version& bound) {
  if (!(version.without_local() > bound)) return false;
  // >3.1 does not mean 3.1.post1, unless the bound is a post-release or its development release.
  if (bound.is_postrelease() || bound.dev() || !version.is_postrelease()) return true;
  return version.base() != bound.base() || version.pre() != bound.pre();
}

}  // namespace

Result<Specifier> Specifier::parse(std::string_view text) {
  const std::string_view trimmed = trim(text);
  const auto row = std::find_if(
      kOperators.begin(), kOperators.end(),
      [&](const OperatorRow& candidate) { return trimmed.starts_with(candidate.text); });
  if (row == kOperators.end()) return invalid(text);
  Specifier specifier;
  specifier.operator_ = row->op;
  std::string_view written = trim(trimmed.substr(row->text.size()));
  specifier.text_ = written;
  if (written.size() > limits::kVersionBytesMax) return invalid(text);
  if (row->op == Operator::kArbitrary) {  // may be empty: then it is no version's text
    const bool plain = std::none_of(written.begin(), written.end(),
                                    [](char c) { return is_space(c) || c == ';' || c == ')'; });
    if (!plain) return invalid(text);
    if (auto version = Version::parse(written)) specifier.version_ = *std::move(version);
    return specifier;
  }
  const bool equality = row->op == Operator::kEqual || row->op == Operator::kNotEqual;
  if (equality && written.ends_with(".*")) {
    specifier.prefix_ = true;
    written.remove_suffix(2);
    if (written.empty() || is_space(written.back())) return invalid(text);
  }
  auto version = Version::parse(written);
  if (!version) return invalid(text);
  const bool release_only = !version->pre() && !version->post() && !version->dev();
  if (specifier.prefix_ && (!release_only || !version->local().empty())) return invalid(text);
  if (!equality && !version->local().empty()) return invalid(text);
  if (row->op == Operator::kCompatible && version->release().size() < 2) return invalid(text);
  specifier.version_ = *std::move(version);
  return specifier;
}

std::string Specifier::text() const {
  const auto row =
      std::find_if(kOperators.begin(), kOperators.end(),
                   [&](const OperatorRow& candidate) { return candidate.op == operator_; });
  return std::string(row->text) + text_;
}

bool Specifier::names_prerelease() const {
  if (operator_ == Operator::kNotEqual || !version_) return false;
  return version_->is_prerelease();
}

bool Specifier::matches_prefix(const Version& version) const {
  return same_release(version, *version_, version_->release().size());
}

bool Specifier::matches(const Version& version, std::string_view written) const {
  switch (operator_) {
    case Operator::kArbitrary:
      return ascii_lower(written) == ascii_lower(text_);
    case Operator::kEqual:
    case Operator::kNotEqual: {
      const bool wanted = operator_ == Operator::kEqual;
      if (prefix_) return matches_prefix(version) == wanted;
      // A local part counts only where the specifier has one.
      return ((version_->local().empty() ? version.without_local() : version) == *version_) ==
             wanted;
    }
    case Operator::kLessEqual:
      return version.without_local() <= *version_;
    case Operator::kGreaterEqual:
      return version.without_local() >= *version_;
    case Operator::kLess:
      return is_less(version, *version_);
    case Operator::kGreater:
      return is_greater(version, *version_);
    case Operator::kCompatible:
      return version.without_local() >= *version_ &&
             same_release(version, *version_, version_->release().size() - 1);
  }
  return false;
}

Result<SpecifierSet> SpecifierSet::parse(std::string_view text) {
  SpecifierSet set;
  while (!trim(text).empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = trim(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (part.empty()) continue;  // as installers do: a trailing comma is no specifier
    if (set.specifiers_.size() >= limits::kSpecifiersMax) {
      return make_error(ErrorCode::kTooLarge, "more specifiers than any real requirement has");
    }
    MLXGUARD_TRY_ASSIGN(Specifier specifier, Specifier::parse(part));
    set.specifiers_.push_back(std::move(specifier));
  }
  return set;
}

bool SpecifierSet::contains(const Version& version, Prereleases prereleases) const {
  return contains(version, prereleases, version.text());
}

bool SpecifierSet::contains(const Version& version, Prereleases prereleases,
                            std::string_view written) const {
  if (prereleases == Prereleases::kOnlyIfNamed && version.is_prerelease() &&
      std::none_of(specifiers_.begin(), specifiers_.end(),
                   [](const Specifier& one) { return one.names_prerelease(); })) {
    return false;
  }
  return std::all_of(specifiers_.begin(), specifiers_.end(),
                     [&](const Specifier& one) { return one.matches(version, written); });
}

std::string SpecifierSet::text() const {
  std::vector<std::string> parts;
  for (const Specifier& specifier : specifiers_) parts.push_back(specifier.text());
  std::sort(parts.begin(), parts.end());
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += ',';
    out += part;
  }
  return out;
}

std::optional<std::string> SpecifierSet::pinned() const {
  for (const Specifier& specifier : specifiers_) {
    const bool exact = specifier.op() == Specifier::Operator::kArbitrary ||
                       (specifier.op() == Specifier::Operator::kEqual &&
                        !specifier.version_text().ends_with(".*"));
    if (exact) return specifier.version_text();
  }
  return std::nullopt;
}

}  // namespace mlxguard::packaging
