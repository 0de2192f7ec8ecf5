// SPDX-License-Identifier: Apache-2.0
// Version specifiers (PEP 440, "Version specifiers"): which versions somebody asks for. Not for
// advisories: their ranges go by order alone (src/advisories), these have rules of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "packaging/version.h"

namespace mlxguard::packaging {

class Specifier {
 public:
  enum class Operator : std::uint8_t {
    kCompatible,  ///< ~=
    kEqual,       ///< ==, also with .*
    kNotEqual,    ///< !=, also with .*
    kLessEqual,
    kGreaterEqual,
    kLess,
    kGreater,
    kArbitrary,  ///< ===, a comparison of text
  };

  /// Errors: kSpecifier.
  [[nodiscard]] static Result<Specifier> parse(std::string_view text);

  [[nodiscard]] Operator op() const { return operator_; }
  /// The version as written, with its ".*" where it has one.
  [[nodiscard]] const std::string& version_text() const { return text_; }
  [[nodiscard]] std::string text() const;
  /// True if the specifier itself names a pre-release.
  [[nodiscard]] bool names_prerelease() const;
  /// By the operator alone: pre-releases are not left out. `written` is the spelling that ===
  /// compares.
  [[nodiscard]] bool matches(const Version& version, std::string_view written) const;

 private:
  [[nodiscard]] bool matches_prefix(const Version& version) const;
  Operator operator_ = Operator::kEqual;
  std::string text_;
  std::optional<Version> version_;  ///< absent for an arbitrary text that is no version
  bool prefix_ = false;             ///< ends in ".*"
};

class SpecifierSet {
 public:
  enum class Prereleases : std::uint8_t {
    kAllow,
    kOnlyIfNamed,  ///< as installers do: only where a specifier names one
  };

  /// Comma-separated; empty text asks for any version. Errors: kSpecifier.
  [[nodiscard]] static Result<SpecifierSet> parse(std::string_view text);

  [[nodiscard]] const std::vector<Specifier>& specifiers() const { return specifiers_; }
  [[nodiscard]] bool contains(const Version& version, Prereleases prereleases) const;
  /// As contains(); `written` is the version's own spelling, for ===.
  [[nodiscard]] bool contains(const Version& version, Prereleases prereleases,
                              std::string_view written) const;
  /// Sorted, comma-separated.
  [[nodiscard]] std::string text() const;
  /// The version, if exactly one can match: a single == without ".*", or ===.
  [[nodiscard]] std::optional<std::string> pinned() const;

 private:
  std::vector<Specifier> specifiers_;
};

}  // namespace mlxguard::packaging
