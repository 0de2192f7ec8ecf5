// SPDX-License-Identifier: Apache-2.0
// What each type of package URL demands beyond the general grammar, as one table.
#pragma once

#include <optional>
#include <string>

#include "packaging/purl.h"

namespace mlxguard::packaging {

/// Normalises `purl` as its type demands. Words when the type does not allow it.
[[nodiscard]] std::optional<std::string> apply_type_rules(Purl& purl);

}  // namespace mlxguard::packaging
