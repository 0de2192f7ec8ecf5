// SPDX-License-Identifier: Apache-2.0
// What differs between the victim programs: which lock, if any, they enter before the attack runs.
#pragma once

#include "base/result.h"

namespace mlxguard::attacks {

[[nodiscard]] Result<void> lock_victim();

}  // namespace mlxguard::attacks
