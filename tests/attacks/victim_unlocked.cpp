// SPDX-License-Identifier: Apache-2.0
// No lock: shows that an attack is one, by succeeding. Exists in this test only.
#include "victim.h"

namespace mlxguard::attacks {

Result<void> lock_victim() { return {}; }

}  // namespace mlxguard::attacks
