// SPDX-License-Identifier: Apache-2.0
// What a process gives up about itself, one sentence each, for the lock functions of processes/.
// Order matters and is the lock's: a change of identity clears the parent-death signal and needs
// the capabilities; no_new_privs has to stand before Landlock and seccomp.
#pragma once

#include "base/result.h"
#include "sandbox/isolation.h"

namespace mlxguard::sandbox {

/// kSandboxThreads unless this process has exactly one thread. Needs /proc, so it comes first.
Result<void> require_single_thread();

/// Clears groups, becomes uid and gid 65534 where this process is (namespace) root and 65534 is
/// mapped, empties every capability set incl. bounding and ambient, and checks that there is no way
/// back. Staying the caller's own unprivileged identity is reported, not an error.
Result<void> drop_identity_and_capabilities(IsolationReport& report);

/// The same without a change of identity, for a process that goes on to own files: root without
/// capabilities is an ordinary user whose files are root's.
Result<void> drop_capabilities(IsolationReport& report);

/// No exec can raise privileges any more.
Result<void> set_no_new_privileges(IsolationReport& report);

/// No core dump, and no other process of this user may read or trace this one.
Result<void> refuse_dumps_and_tracers(IsolationReport& report);

/// SIGKILL when the parent's spawning thread ends; kSandbox if the other end of `control_fd` (held
/// by the parent only) is closed already. A parent outside of the pid namespace has no pid to
/// compare.
Result<void> die_with_parent(IsolationReport& report, int control_fd);

/// Memory once writable can never become executable. Call after dynamic linking.
Result<void> refuse_new_executable_memory(IsolationReport& report);

/// Whether the kernel knows that last one.
[[nodiscard]] bool executable_memory_switch_available();

}  // namespace mlxguard::sandbox
