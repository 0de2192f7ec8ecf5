// SPDX-License-Identifier: Apache-2.0
// spawn: starts a program as a child that owns nothing but what its plan lists: its own namespaces
// and cgroup, rlimits, an environment and descriptors of its own, no signal handlers, death with
// its parent. The child keeps its identity until it locks itself, since the dynamic linker still
// opens files (docs/adr/0003-spawn-and-lock.md). No part of the plan weakens the isolation.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/host.h"
#include "sandbox/isolation.h"
#include "sandbox/resource_limits.h"
#include "sandbox/verdict.h"

namespace mlxguard::sandbox {

/// When the child joins its cgroup. Joining takes the kernel long on a busy machine.
enum class CgroupJoin {
  kBeforeExec,    ///< the program runs no instruction outside of its limits
  kWhileLinking,  ///< for our own programs, which are trusted and get no input until spawn returns
};

/// Where a child's standard output and error go. Its standard input is /dev/null, opened for
/// reading; no child shares a descriptor of the parent's terminal or log file.
enum class StandardOutput {
  kNone,  ///< /dev/null, opened for writing
  kPipe,  ///< the writing end of a pipe; the parent has the other (Child::take_output)
};

struct SpawnPlan {
  int binary_fd = -1;                    ///< the program, from open_program; stays the caller's
  std::string name;                      ///< its argv[0], and part of its cgroup's name
  std::vector<std::string> arguments;    ///< argv[1], ...
  std::vector<std::string> environment;  ///< "NAME=value"; nothing is inherited
  std::vector<int> descriptors;          ///< become 3, 4, ...; stay the caller's too
  StandardOutput standard_output = StandardOutput::kNone;  ///< becomes 1 and 2
  ResourceLimits limits;
  CgroupJoin cgroup_join = CgroupJoin::kBeforeExec;
};

/// Opens a program for spawn. kNotFound, kPermission.
[[nodiscard]] Result<UniqueFd> open_program(const std::string& path);

/// A running, or dead but not yet judged, process. The destructor kills and reaps it.
class Child {
 public:
  Child(Child&&) noexcept = default;
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Readable (POLLIN) once the process is dead; then wait() does not block.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  /// What spawn put in place. With the lock's own report this is the whole.
  [[nodiscard]] const IsolationReport& isolation() const { return isolation_; }

  /// The reading end of the pipe that is the child's standard output and error; not open without
  /// StandardOutput::kPipe or after the first call. Both ends are non-blocking: a parent that does
  /// not read loses what comes once the pipe is full, and holds nobody up.
  [[nodiscard]] UniqueFd take_output() { return std::move(output_); }

  /// SIGKILL, remembering why for the verdict. Harmless if it is dead already.
  void kill(KillReason reason);
  /// Waits for the end and judges it; afterwards the same verdict again. Not thread-safe.
  [[nodiscard]] Result<ExitVerdict> wait();
  /// The verdict if it has ended, nothing while it runs.
  [[nodiscard]] Result<std::optional<ExitVerdict>> try_wait();
  /// What the cgroup counts now; empty fields where there is none.
  [[nodiscard]] ResourceUsage usage() const;
  /// Changes memory, cpu and process limits of the running process. kUnsupportedPlatform without
  /// cgroups.
  Result<void> limit(const ResourceLimits& limits);

 private:
  friend Result<Child> spawn(const Host& host, const SpawnPlan& plan);
  Child() = default;
  [[nodiscard]] Result<void> join_cgroup(const CgroupLimits* cgroups, const SpawnPlan& plan);
  void end() noexcept;
  [[nodiscard]] Result<std::optional<ExitVerdict>> reap(int wait_flags);

  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd output_;
  std::unique_ptr<CgroupLeaf> cgroup_;
  IsolationReport isolation_;
  std::optional<std::uint64_t> cpu_seconds_max_;
  std::optional<KillReason> killed_by_parent_;
  std::optional<ExitVerdict> verdict_;
};

/// Starts the program and returns once it has been exec'ed. Call it on a thread that lives as long
/// as the child is wanted: the kernel's parent-death signal is about the thread, not the process.
/// Errors: kWorkerStart, naming the step that failed in the child; kSandbox for the parent's part.
[[nodiscard]] Result<Child> spawn(const Host& host, const SpawnPlan& plan);

}  // namespace mlxguard::sandbox
