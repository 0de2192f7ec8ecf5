// SPDX-License-Identifier: Apache-2.0
// The kernel's per-process limits, as a list that spawn's child applies between clone and exec.
// Limits: memory here is RLIMIT_DATA (private writable address space, not what is in use, so with 1
// GiB on top for what is only reserved) and is only planned where no cgroup counts real memory; the
// worker then dies of a failed allocation, by SIGSEGV.
#pragma once

#include <sys/resource.h>

#include <vector>

#include "sandbox/resource_limits.h"

namespace mlxguard::sandbox {

struct Rlimit {
  int resource;
  rlimit value;
};

/// Who enforces a limit that both could: never both, since they would be mistaken for each other.
enum class EnforcedBy { kCgroup, kRlimit };

struct RlimitDuty {
  EnforcedBy memory = EnforcedBy::kRlimit;
  /// kRlimit only in a user namespace of its own: elsewhere the kernel counts all processes of the
  /// user.
  EnforcedBy pids = EnforcedBy::kCgroup;
};

/// Every limit to set, tightest form: soft = hard, and zero for what a locked process never needs.
[[nodiscard]] std::vector<Rlimit> plan_rlimits(const ResourceLimits& limits, RlimitDuty duty);

/// Applies one; async-signal-safe. Never raises a limit that is lower already. 0 or errno.
int apply_rlimit(const Rlimit& limit) noexcept;

}  // namespace mlxguard::sandbox
