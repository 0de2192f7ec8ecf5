// SPDX-License-Identifier: Apache-2.0
// CgroupLimits: memory, cpu and process limits that the kernel counts and enforces from outside.
// One interface, three back-ends: v2 (the primary), v1 (where the controllers still live there),
// none. One leaf a process, made by the parent beside itself, removed with the process; counters
// start at zero.
// Limits: pages of a sealed memfd are charged to whoever touched them first, which is not the
// worker.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/isolation.h"
#include "sandbox/resource_limits.h"
#include "sandbox/verdict.h"

namespace mlxguard::sandbox {

/// One process's cgroup. Removed by the destructor, which needs the process reaped.
class CgroupLeaf {
 public:
  virtual ~CgroupLeaf() = default;
  /// Moves a process in, with all that it will start.
  virtual Result<void> add(pid_t pid) = 0;
  /// Fills the counted fields: memory now and peak, oom kills, throttled periods, pids.
  virtual void read_usage(ResourceUsage& usage) const = 0;
  /// Writes the limits anew. Lowering memory below what is in use is kIo (busy) on v1.
  virtual Result<void> limit(const ResourceLimits& limits) = 0;
  /// SIGKILL to everything inside.
  virtual Result<void> kill_all() = 0;
};

class CgroupLimits {
 public:
  virtual ~CgroupLimits() = default;
  /// "cgroup v2", "cgroup v1".
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Those of kMemoryLimit, kCpuLimit, kPidsLimit that work here.
  [[nodiscard]] virtual std::vector<Mechanism> enforced() const = 0;
  /// A leaf with the limits in force; `name` is unique among this user's processes.
  [[nodiscard]] virtual Result<std::unique_ptr<CgroupLeaf>> create(
      std::string_view name, const ResourceLimits& limits) const = 0;
};

/// The best back-end that works, tried by making a leaf; nullptr for none, with `why_none` filled.
/// On v2 this process moves itself into a leaf of its own if its cgroup must lend its controllers.
/// Also removes leaves that a killed predecessor left behind.
[[nodiscard]] std::unique_ptr<CgroupLimits> open_cgroup_limits(std::string& why_none);

/// The two back-ends, each nullptr where it does not work; open_cgroup_limits chooses.
[[nodiscard]] std::unique_ptr<CgroupLimits> open_cgroup_v2(std::string& why_not);
[[nodiscard]] std::unique_ptr<CgroupLimits> open_cgroup_v1(std::string& why_not);

}  // namespace mlxguard::sandbox
