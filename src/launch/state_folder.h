// SPDX-License-Identifier: Apache-2.0
// The state folder: keys, the event log, the model store. Whoever can write there is the server.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace mlxguard::launch {

/// Makes `state` (0700) and the folders above it, or checks that it is ours and that nobody else
/// can write into it. Errors: kUnsafePermissions; kPermission, kNotFound, kIo.
[[nodiscard]] Result<void> prepare_state(const std::filesystem::path& state);

}  // namespace mlxguard::launch
