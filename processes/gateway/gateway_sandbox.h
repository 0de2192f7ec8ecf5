// SPDX-License-Identifier: Apache-2.0
// The gateway's lock: after it, this process accepts and answers connections on the sockets it was
// given and talks to its supervisor; no files, no new sockets, no connection to anywhere.
// Called once: after the certificate is read and the signal handlers are set, before the first byte
// from the network and before the first thread. Nothing turns it off.
#pragma once

#include "base/result.h"
#include "sandbox/isolation.h"
#include "sandbox/seccomp.h"

namespace mlxguard::gateway {

struct GatewaySandboxOptions {
  int control_fd = 3;  ///< the socket to the supervisor
};

/// Locks this process for good. On any error the caller exits with sandbox::kStartFailedExitStatus.
/// Errors: kSandboxThreads, kUnsupportedPlatform, kSandbox.
[[nodiscard]] Result<sandbox::IsolationReport> lock_this_gateway(
    const GatewaySandboxOptions& options);

/// What the gateway may ask of the kernel. A value, so that tests can read it.
[[nodiscard]] sandbox::SeccompPolicy gateway_policy();

}  // namespace mlxguard::gateway
