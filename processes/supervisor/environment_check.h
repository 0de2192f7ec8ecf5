// SPDX-License-Identifier: Apache-2.0
// Whether the worker's Python environment is as its lock says, asked of the program mlxguard-deps
// (`mlxguard deps check`), which is started directly: the supervisor reads no package, lock or
// archive itself.
#pragma once

#include "base/result.h"
#include "config/config.h"

namespace mlxguard::supervisor {

/// Nothing to do without [dependencies] require. Errors: kDepsLock (it differs, or could not be
/// told), kConfig (no environment is named), kIo.
[[nodiscard]] Result<void> check_environment(const config::ServeConfig& config);

}  // namespace mlxguard::supervisor
