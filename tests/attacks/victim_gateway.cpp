// SPDX-License-Identifier: Apache-2.0
// The gateway's real lock.
#include "gateway_sandbox.h"
#include "victim.h"

namespace mlxguard::attacks {

Result<void> lock_victim() {
  MLXGUARD_TRY(gateway::lock_this_gateway({}));
  return {};
}

}  // namespace mlxguard::attacks
