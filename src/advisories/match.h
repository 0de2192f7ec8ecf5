// SPDX-License-Identifier: Apache-2.0
// Is a version affected? Source: OSV schema, "Evaluation", over PEP 440's order. Pre-releases are
// ordered like any version: OSV's ranges do not leave them out as specifiers do.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "advisories/osv.h"

namespace mlxguard::advisories {

enum class Standing : std::uint8_t { kUnaffected, kAffected, kCouldNotTell };
/// What it was that could not be compared.
enum class Obstacle : std::uint8_t { kAdvisory, kVersion };

struct Match {
  Standing standing = Standing::kUnaffected;
  /// Where it is affected: the versions that end it, oldest first, later than this one; may be
  /// empty.
  std::vector<std::string> fixed_in;
  std::string why;  ///< kCouldNotTell: one sentence
  Obstacle obstacle = Obstacle::kAdvisory;
};

/// Affected by the list of versions or by any range; by a range that begins before every version
/// and never ends also where the version is none, or not known (empty). What cannot be evaluated (a
/// range of commits alone, an event or a version that is no version) and is not affected otherwise,
/// could not be told. A local version is affected where its public version is, unless the range
/// itself names local versions: stricter than the schema, whose order would call `2.0+cpu` later
/// than `last_affected: 2.0`.
[[nodiscard]] Match match(const Affected& affected, std::string_view version);

}  // namespace mlxguard::advisories
