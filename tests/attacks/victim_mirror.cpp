// SPDX-License-Identifier: Apache-2.0
// The mirror's real lock, around a state folder that is not there: every path is outside of it.
#include "mirror_sandbox.h"
#include "victim.h"

namespace mlxguard::attacks {

Result<void> lock_victim() {
  MLXGUARD_TRY(mirror::lock_this_mirror({"/nonexistent", "", {443}}));
  return {};
}

}  // namespace mlxguard::attacks
