// SPDX-License-Identifier: Apache-2.0
// Makes this process see what an unprivileged container would: no namespaces, no mounts, no root.
#pragma once

#include "base/result.h"

namespace mlxguard::attacks {

/// For good, for this process and all that it starts. A model of a container engine's default profile.
[[nodiscard]] Result<void> enter_container_like_confinement();

}  // namespace mlxguard::attacks
