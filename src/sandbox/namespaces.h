// SPDX-License-Identifier: Apache-2.0
// Namespaces: a view of the machine with nothing in it. Spawn makes them at clone, so that the
// child is first process of its own pid namespace; the lock then exchanges the root for an empty,
// read-only one. An ordinary user gets them through a user namespace; some containers allow neither
// (host.h).
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "sandbox/isolation.h"

namespace mlxguard::sandbox {

/// The ids that exist inside of a new user namespace.
enum class IdMap {
  kNone,          ///< no user namespace
  kSelf,          ///< 0 -> the caller's own id: what an ordinary user may write
  kSelfAndNobody  ///< also 65534 -> 65534, to drop to at the lock: needs root
};

struct NamespacePlan {
  unsigned long clone_flags = 0;  ///< CLONE_NEW*
  IdMap id_map = IdMap::kNone;
};

/// Everything at once, as root or as an ordinary user.
[[nodiscard]] NamespacePlan all_namespaces(IdMap id_map);

/// Parent's part: writes the id maps of `child`, which waits in its new user namespace.
Result<void> write_id_maps(pid_t child, IdMap id_map);

/// Adds one row for each namespace of the plan.
void report_namespaces(const NamespacePlan& plan, IsolationReport& report);

/// Locked process's part: own mount namespace, whose root is an empty read-only tmpfs; no path of
/// the host exists any more. Reported as unavailable where the kernel does not permit it (EPERM).
Result<void> enter_empty_root(IsolationReport& report);

}  // namespace mlxguard::sandbox
