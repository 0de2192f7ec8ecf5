// SPDX-License-Identifier: Apache-2.0
// A requirement as METADATA and requirements files write it, and its marker judged for one Python.
// Input: text chosen by an attacker.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::inventory {

struct Requirement {
  std::string name;                 ///< normalised
  std::vector<std::string> extras;  ///< normalised
  std::string specifier;            ///< "==1.0", ">=2,<3"; may be empty
  std::string url;                  ///< of "name @ url"; may be empty
  std::string marker;               ///< may be empty
  /// The version of "==1.0" or "===1.0" when that is the whole specifier; else empty.
  std::string pinned;
};

/// Errors: kRequirement.
[[nodiscard]] Result<Requirement> read_requirement(std::string_view text);

/// Values of marker variables; "extra" is judged against the extras that are in use.
struct MarkerContext {
  std::map<std::string, std::string, std::less<>> values;
  std::set<std::string> extras;
};
/// For Python of this version on this machine.
[[nodiscard]] MarkerContext marker_context(std::string_view python_version);
/// Errors: kMarker.
[[nodiscard]] Result<bool> marker_holds(std::string_view marker, const MarkerContext& context);

/// PEP 503.
[[nodiscard]] std::string normalize_name(std::string_view name);

}  // namespace mlxguard::inventory
