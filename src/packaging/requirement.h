// SPDX-License-Identifier: Apache-2.0
// Requirements (PEP 508): `mlx-lm[train]>=0.30; python_version >= "3.11"`, `name @ URL`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "packaging/marker.h"
#include "packaging/specifier.h"

namespace mlxguard::packaging {

struct Requirement {
  std::string name;                 ///< as written; normalize_name() before comparing
  std::vector<std::string> extras;  ///< as written
  std::string url;                  ///< of `name @ URL`; else empty
  SpecifierSet specifiers;
  std::optional<Marker> marker;

  /// Errors: kRequirement, kSpecifier, kMarker, kTooLarge.
  [[nodiscard]] static Result<Requirement> parse(std::string_view text);
  /// Name and extras as written, the rest normalised.
  [[nodiscard]] std::string text() const;
};

}  // namespace mlxguard::packaging
