// SPDX-License-Identifier: Apache-2.0
// Makes this process see less of the machine: as an ordinary user, or as an unprivileged container.
#pragma once

#include "base/result.h"

namespace mlxguard::attacks {

/// Root becomes nobody, for good; an ordinary user stays who it is. What is left is what the user
/// may do.
[[nodiscard]] Result<void> become_ordinary_user();

/// An ordinary user without namespaces and mounts. For good, for this process and all that it
/// starts. A model of a container engine's default profile.
[[nodiscard]] Result<void> enter_container_like_confinement();

}  // namespace mlxguard::attacks
