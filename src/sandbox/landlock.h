// SPDX-License-Identifier: Apache-2.0
// Landlock: the kernel refuses this process every file, TCP socket, abstract unix socket and signal
// outside of itself. Needs no privilege, so it is the floor on every machine.
// Limits: binds the calling thread and threads it starts later, never those already running; says
// nothing about descriptors already open, stat(2) or UDP (seccomp refuses those).
#pragma once

#include "base/result.h"
#include "sandbox/isolation.h"

namespace mlxguard::sandbox {

/// The kernel's Landlock version, 0 where there is none.
[[nodiscard]] int landlock_abi();

/// Handles every right that the kernel's version knows (up to 7) and allows none. Needs
/// no_new_privs.
/// Errors: kUnsupportedPlatform without Landlock, kSandbox.
Result<void> landlock_deny_everything(IsolationReport& report);

}  // namespace mlxguard::sandbox
