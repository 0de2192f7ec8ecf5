// SPDX-License-Identifier: Apache-2.0
// The worker's real lock.
#include "victim.h"
#include "worker_sandbox.h"

namespace mlxguard::attacks {

Result<void> lock_victim() {
  MLXGUARD_TRY(worker::lock_this_worker({}));
  return {};
}

}  // namespace mlxguard::attacks
