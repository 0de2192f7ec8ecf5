// SPDX-License-Identifier: Apache-2.0
// The lock of the mirror: put on when its socket is bound and its keys are read, before any thread
// is started and any byte of a client or of upstream is read. There is no way to leave it off.
// Limits: the state folder stays open as a whole, since log, cache and advisories are in it; what
// name resolution and TLS read stays readable, as it was at the start: a resolv.conf that is
// replaced in /etc counts from the next start. Connections go to the ports below on any host
// (addresses.h decides which hosts), name servers are asked over UDP, which Landlock does not know.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/isolation.h"
#include "sandbox/seccomp.h"

namespace mlxguard::mirror {

struct MirrorSandboxOptions {
  std::filesystem::path state;
  std::string ca_bundle;                     ///< may be empty
  std::vector<std::uint16_t> connect_ports;  ///< of upstream, its links and the proxy
};

/// System calls of a program that downloads, stores and serves: threads, files, sockets to others.
/// No exec, no other process, no listening, no new executable memory.
[[nodiscard]] sandbox::SeccompPolicy mirror_policy();

/// Errors: kSandboxThreads, kUnsupportedPlatform (no Landlock), kSandbox.
[[nodiscard]] Result<sandbox::IsolationReport> lock_this_mirror(
    const MirrorSandboxOptions& options);

}  // namespace mlxguard::mirror
