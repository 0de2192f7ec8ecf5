// SPDX-License-Identifier: Apache-2.0
// A record as our own database keeps it: OSV's names, one package, nothing that is not needed.
#pragma once

#include <string>

#include "advisories/osv.h"

namespace mlxguard::advisories {

/// OSV JSON that parse_record() reads back: `record` about this one package.
[[nodiscard]] std::string to_json(const Record& record, const Affected& affected);

}  // namespace mlxguard::advisories
