// SPDX-License-Identifier: Apache-2.0
// Who needs whom: Requires-Dist of each distribution, with its markers judged for one Python, and
// the extras that are in use. Cycles are ordinary here; nothing recurses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inventory/distribution.h"
#include "packaging/marker.h"

namespace mlxguard::inventory {

struct PythonPlace {
  std::string version;  ///< "3.11.7" or "3.11"; empty: this cannot be told, and every marker holds
};

/// Adds needs among `distributions`, and observes what is required and not there (kMissing).
/// An extra counts as in use when another package asks for it, or when everything it brings is
/// there.
void add_requirements(const std::vector<Distribution>& distributions, const PythonPlace& python,
                      Builder& builder);

/// For one distribution alone (a wheel): what it requires, as a property for people.
void add_wanted(const Distribution& distribution, Builder& builder);

/// What markers are told about the Python of an environment on this machine.
[[nodiscard]] packaging::MarkerEnvironment markers_of_this_machine(
    const std::string& python_version);

/// PEP 440 equality; unparseable versions are equal when they are the same text.
[[nodiscard]] bool same_version(std::string_view a, std::string_view b);

}  // namespace mlxguard::inventory
