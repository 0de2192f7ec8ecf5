// SPDX-License-Identifier: Apache-2.0
// Host: what this machine lets us isolate with, found by trying each mechanism once at start.
// Nothing here is configured: there is no switch by which a mechanism that works is left out.
#pragma once

#include <memory>

#include "base/result.h"
#include "sandbox/cgroup.h"
#include "sandbox/isolation.h"
#include "sandbox/namespaces.h"

namespace mlxguard::sandbox {

class Host {
 public:
  /// Tries everything, in a child process where it cannot be undone. A few milliseconds. Call it
  /// before starting threads: on cgroup v2 this process may have to move itself.
  [[nodiscard]] static Result<Host> probe();

  /// What a process spawned and locked here gets; pass it to require() with the operator's minimum.
  [[nodiscard]] const IsolationReport& report() const { return report_; }
  [[nodiscard]] IsolationLevel level() const { return report_.level(); }
  [[nodiscard]] const NamespacePlan& namespaces() const { return namespaces_; }
  /// nullptr where there are no cgroup limits.
  [[nodiscard]] const CgroupLimits* cgroups() const { return cgroups_.get(); }

 private:
  Host() = default;
  IsolationReport report_;
  NamespacePlan namespaces_;
  std::shared_ptr<const CgroupLimits> cgroups_;
};

}  // namespace mlxguard::sandbox
