// SPDX-License-Identifier: Apache-2.0
// Versions of Python packages, as PEP 440 orders them. Input of parse: text from anywhere.
// Numbers are as long as their author wrote them, so they are kept as digits, never as integers.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace mlxguard::packaging {

/// A number of any length: decimal digits without leading zeros, "0" for zero.
class Digits {
 public:
  Digits() : text_("0") {}
  /// `text` holds digits only, at least one.
  explicit Digits(std::string_view text);
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool is_zero() const { return text_ == "0"; }
  friend std::strong_ordering operator<=>(const Digits& left, const Digits& right);
  friend bool operator==(const Digits& left, const Digits& right) = default;

 private:
  std::string text_;
};

class Version {
 public:
  enum class Phase : std::uint8_t { kAlpha, kBeta, kCandidate };
  struct PreRelease {
    Phase phase = Phase::kAlpha;
    Digits number;
    friend auto operator<=>(const PreRelease&, const PreRelease&) = default;
  };
  /// Part of a local version; a number is newer than any text.
  using LocalPart = std::variant<std::string, Digits>;

  /// Any spelling that PEP 440 normalises. Errors: kVersionInvalid; kTooLarge beyond
  /// limits::kVersionBytesMax.
  [[nodiscard]] static Result<Version> parse(std::string_view text);

  [[nodiscard]] const Digits& epoch() const { return epoch_; }
  [[nodiscard]] const std::vector<Digits>& release() const { return release_; }
  [[nodiscard]] const std::optional<PreRelease>& pre() const { return pre_; }
  [[nodiscard]] const std::optional<Digits>& post() const { return post_; }
  [[nodiscard]] const std::optional<Digits>& dev() const { return dev_; }
  [[nodiscard]] const std::vector<LocalPart>& local() const { return local_; }
  /// Alpha, beta, candidate or development.
  [[nodiscard]] bool is_prerelease() const { return pre_ || dev_; }
  [[nodiscard]] bool is_postrelease() const { return post_.has_value(); }

  /// The normalised spelling.
  [[nodiscard]] std::string text() const;
  /// Without the local part.
  [[nodiscard]] Version without_local() const;
  /// Epoch and release alone.
  [[nodiscard]] Version base() const;

  friend std::strong_ordering operator<=>(const Version& left, const Version& right);
  friend bool operator==(const Version& left, const Version& right) {
    return (left <=> right) == 0;
  }

 private:
  friend class VersionReader;
  Digits epoch_;
  std::vector<Digits> release_;
  std::optional<PreRelease> pre_;
  std::optional<Digits> post_;
  std::optional<Digits> dev_;
  std::vector<LocalPart> local_;
};

}  // namespace mlxguard::packaging
