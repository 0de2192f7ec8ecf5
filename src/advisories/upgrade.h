// SPDX-License-Identifier: Apache-2.0
// Which version of a vulnerable package is high enough, going by the advisories alone. Whether it
// resolves with everything else is for a resolver to say.
#pragma once

#include <string>
#include <vector>

#include "advisories/scan.h"

namespace mlxguard::advisories {

/// One package that is vulnerable, and what became of it.
struct Upgrade {
  std::string name, from, at_least, to;
  std::vector<std::string> cleared;  ///< ids of findings
  std::vector<std::string> left;     ///< ids that no known version ends
};

/// The first version, going by the fixes that advisories name, that none of them affects; what it
/// clears and what no known version ends. Errors: those of the database.
[[nodiscard]] Result<Upgrade> high_enough(const ComponentReport& report,
                                          const Knowledge& knowledge);

/// Whether a version has no finding; nothing that could be told is nothing known against it.
[[nodiscard]] Result<bool> is_clear(const std::string& name, const std::string& version,
                                    const Knowledge& knowledge);

}  // namespace mlxguard::advisories
