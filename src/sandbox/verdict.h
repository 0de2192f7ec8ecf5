// SPDX-License-Identifier: Apache-2.0
// ExitVerdict: why a process is dead, as a value that events, answers and restarts are decided by.
// Built from facts only the kernel and the parent hold (wait status, cgroup counters, who killed
// it), so a compromised process cannot choose its verdict beyond exiting or breaking a rule.
// Limits: the kernel does not tell which system call broke the policy; without a memory cgroup a
// failed allocation looks like any crash.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error_codes.h"

namespace mlxguard::sandbox {

// Row: X(enumerator, "name", ErrorCode, "meaning").
#define MLXGUARD_EXIT_REASON_TABLE(X)                                                             \
  X(kExited, "exited", kWorkerExited, "ended by itself")                                          \
  X(kPolicySyscall, "policy_syscall", kWorkerSyscall, "killed for a system call it may not make") \
  X(kMemory, "memory", kWorkerMemory, "killed at its memory limit")                               \
  X(kCpuTime, "cpu_time", kWorkerCpu, "killed at its processor-time limit")                       \
  X(kWallTime, "wall_time", kWorkerOverdue, "killed for exceeding a deadline")                    \
  X(kCrashSignal, "crash_signal", kWorkerCrash, "crashed")                                        \
  X(kKilled, "killed", kWorkerKilled, "killed from outside")                                      \
  X(kStartFailed, "start_failed", kWorkerStart, "could not lock itself or start")

enum class ExitReason : std::uint8_t {
#define MLXGUARD_EXIT_REASON_ENUM(enumerator, name, code, meaning) enumerator,
  MLXGUARD_EXIT_REASON_TABLE(MLXGUARD_EXIT_REASON_ENUM)
#undef MLXGUARD_EXIT_REASON_ENUM
};

[[nodiscard]] std::string_view name_of(ExitReason reason);
[[nodiscard]] ErrorCode code_of(ExitReason reason);

/// A process that could not lock itself or start exits with this, and has the verdict kStartFailed.
inline constexpr int kStartFailedExitStatus = 79;

/// Why the parent itself sent SIGKILL.
enum class KillReason : std::uint8_t { kOverdue, kShutdown };

/// What a process used over its life. Absent where nothing counted it.
struct ResourceUsage {
  std::chrono::microseconds cpu_time{0};
  std::uint64_t resident_bytes_peak = 0;
  std::optional<std::uint64_t> memory_bytes;       ///< cgroup, now
  std::optional<std::uint64_t> memory_bytes_peak;  ///< cgroup
  std::optional<std::uint64_t> oom_kills;
  std::optional<std::uint64_t> cpu_periods_throttled;
  std::optional<std::uint64_t> pids;
};

struct ExitFacts {
  bool signalled = false;
  int status = 0;  ///< exit status, or the signal
  std::optional<KillReason> killed_by_parent;
  std::optional<std::uint64_t> cpu_seconds_max;
  ResourceUsage usage;
};

struct ExitVerdict {
  ExitReason reason = ExitReason::kExited;
  int exit_status = 0;         ///< where it exited
  std::optional<int> signal;   ///< where a signal ended it
  std::optional<int> syscall;  ///< where known: never, with today's kernels
  ResourceUsage usage;
};

/// Pure: the same facts give the same verdict.
[[nodiscard]] ExitVerdict judge(const ExitFacts& facts);

/// "killed at its memory limit (SIGKILL)": one line for people.
[[nodiscard]] std::string describe(const ExitVerdict& verdict);

}  // namespace mlxguard::sandbox
