// SPDX-License-Identifier: Apache-2.0
// The worker's lock: after it, this process computes and talks to its supervisor, and nothing else.
// Called once, before the first thread and before the first byte of a model. There is no flag, no
// configuration and no environment variable that turns it off.
#pragma once

#include "base/result.h"
#include "sandbox/isolation.h"
#include "sandbox/seccomp.h"

namespace mlxguard::worker {

struct WorkerSandboxOptions {
  int control_fd = 3;  ///< the socket to the supervisor
};

/// Locks this process for good. On any error the caller exits with sandbox::kStartFailedExitStatus.
/// Errors: kSandboxThreads, kUnsupportedPlatform, kSandbox.
[[nodiscard]] Result<sandbox::IsolationReport> lock_this_worker(
    const WorkerSandboxOptions& options);

/// What a worker may ask of the kernel. A value, so that tests can read it.
[[nodiscard]] sandbox::SeccompPolicy worker_policy();

}  // namespace mlxguard::worker
