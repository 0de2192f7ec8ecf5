// SPDX-License-Identifier: Apache-2.0
// The inspector's lock: after it, this process reads the descriptors that it is handed, and
// answers. No files, no network, no other process, not even a thread. There is no switch that turns
// it off.
#pragma once

#include "base/result.h"
#include "sandbox/isolation.h"
#include "sandbox/seccomp.h"

namespace mlxguard::inspector {

struct InspectorSandboxOptions {
  int control_fd = 3;  ///< the socket to the parent
};

/// Locks this process for good. On any error the caller exits with sandbox::kStartFailedExitStatus.
[[nodiscard]] Result<sandbox::IsolationReport> lock_this_inspector(
    const InspectorSandboxOptions& options);

/// What an inspector may ask of the kernel. A value, so that tests can read it.
[[nodiscard]] sandbox::SeccompPolicy inspector_policy();

}  // namespace mlxguard::inspector
