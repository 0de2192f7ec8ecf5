// SPDX-License-Identifier: Apache-2.0
// IsolationReport: which mechanisms hold a process, as data. The host's probe makes one (what this
// machine allows), spawn and lock each make one (what was done); the supervisor compares them.
// A report is a claim of our own code: one received from a worker is only as good as its lock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::sandbox {

// Row: X(enumerator, "name"). The position is the bit in a message: append only.
#define MLXGUARD_MECHANISM_TABLE(X)                     \
  X(kLandlock, "landlock")                              \
  X(kSeccomp, "seccomp")                                \
  X(kNoNewPrivileges, "no_new_privs")                   \
  X(kNotDumpable, "not_dumpable")                       \
  X(kDieWithParent, "die_with_parent")                  \
  X(kNoNewExecutableMemory, "no_new_executable_memory") \
  X(kNoCapabilities, "no_capabilities")                 \
  X(kOtherIdentity, "other_identity")                   \
  X(kEmptyRoot, "empty_root")                           \
  X(kUserNamespace, "user_namespace")                   \
  X(kPidNamespace, "pid_namespace")                     \
  X(kNetNamespace, "net_namespace")                     \
  X(kIpcNamespace, "ipc_namespace")                     \
  X(kUtsNamespace, "uts_namespace")                     \
  X(kCgroupNamespace, "cgroup_namespace")               \
  X(kRlimits, "rlimits")                                \
  X(kMemoryLimit, "cgroup_memory")                      \
  X(kCpuLimit, "cgroup_cpu")                            \
  X(kPidsLimit, "cgroup_pids")

enum class Mechanism : std::uint8_t {
#define MLXGUARD_MECHANISM_ENUM(enumerator, name) enumerator,
  MLXGUARD_MECHANISM_TABLE(MLXGUARD_MECHANISM_ENUM)
#undef MLXGUARD_MECHANISM_ENUM
};

[[nodiscard]] std::string_view name_of(Mechanism mechanism);

/// Weakest first, so that levels compare.
enum class IsolationLevel : std::uint8_t {
  kNone,       ///< below the floor: mlxguard does not serve
  kContainer,  ///< landlock, seccomp, no_new_privs, rlimits: what an unprivileged container allows
  kNoCgroup,   ///< the same, and namespaces with an empty root
  kFull,       ///< the same, and cgroup limits of memory, cpu and processes
};

/// "none", "container", "no-cgroup", "full".
[[nodiscard]] std::string_view name_of(IsolationLevel level);
[[nodiscard]] std::optional<IsolationLevel> find_isolation_level(std::string_view name);

enum class MechanismState : std::uint8_t { kActive, kUnavailable };

struct MechanismReport {
  Mechanism mechanism;
  MechanismState state;
  std::string detail;  ///< "abi 7", or why it is unavailable
};

class IsolationReport {
 public:
  void add_active(Mechanism mechanism, std::string detail = {});
  void add_unavailable(Mechanism mechanism, std::string why);
  /// Adds the other report's rows; where both know a mechanism, active wins.
  void merge(const IsolationReport& other);

  [[nodiscard]] bool has(Mechanism mechanism) const;
  [[nodiscard]] const std::vector<MechanismReport>& mechanisms() const { return mechanisms_; }
  [[nodiscard]] IsolationLevel level() const;

  /// One bit for each active mechanism, for a message between our processes.
  [[nodiscard]] std::uint32_t bits() const;
  [[nodiscard]] static IsolationReport from_bits(std::uint32_t bits);
  /// {"landlock":"active",...}: each mechanism as active or unavailable.
  [[nodiscard]] std::string to_json() const;

 private:
  void add(MechanismReport row);
  std::vector<MechanismReport> mechanisms_;
};

/// kSandboxLevel if the report is below `minimum`; the message names what is missing.
Result<void> require(const IsolationReport& report, IsolationLevel minimum);

/// kSandboxLevel if a mechanism that was promised (by the probe) was not achieved (by spawn and
/// lock).
Result<void> confirm(const IsolationReport& promised, const IsolationReport& achieved);

}  // namespace mlxguard::sandbox
