// SPDX-License-Identifier: Apache-2.0
// The gateway's life: started by the supervisor with its control channel as descriptor 3, it reads
// its configuration, locks itself, then serves.
#pragma once

#include <span>

#include "task/table.h"

namespace mlxguard::gateway {

/// Returns the process's exit status.
[[nodiscard]] int gateway_main(std::span<const task::Row> rows);

}  // namespace mlxguard::gateway
