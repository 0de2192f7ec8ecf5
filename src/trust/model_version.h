// SPDX-License-Identifier: Apache-2.0
// ModelVersion: the version that a model's signed mlxguard.json gives, and what "older" means.
// Input: text of a signer; one that is not understood is no version, and a policy that asks for one
// refuses.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::trust {

/// Numbers with dots and, as in Semantic Versioning, a pre-release behind a hyphen: "3", "1.2.0",
/// "2.0.0-rc.1". Missing numbers are 0: "1.2" equals "1.2.0".
class ModelVersion {
 public:
  /// kTrustVersion for anything else.
  [[nodiscard]] static Result<ModelVersion> parse(std::string_view text);
  [[nodiscard]] const std::string& text() const { return text_; }
  /// By meaning, not by spelling. A pre-release is older than its release.
  [[nodiscard]] std::strong_ordering operator<=>(const ModelVersion& other) const;
  [[nodiscard]] bool operator==(const ModelVersion& other) const {
    return (*this <=> other) == std::strong_ordering::equal;
  }

 private:
  ModelVersion() = default;
  std::string text_;
  std::vector<std::uint64_t> numbers_;   ///< without zeros at the end
  std::vector<std::string> prerelease_;  ///< empty for a release
};

}  // namespace mlxguard::trust
