// SPDX-License-Identifier: Apache-2.0
#include "sandbox/rlimits.h"

#include <algorithm>
#include <cerrno>

namespace mlxguard::sandbox {
namespace {

/// Address space that libraries reserve and hardly touch: thread stacks, and OpenBLAS's buffers (a
/// worker that uses 30 MB has 600 MB of it). Without it OpenBLAS would wait for ever for its
/// buffer.
constexpr std::uint64_t kReservedBytes = 1ull << 30;

}  // namespace

std::vector<Rlimit> plan_rlimits(const ResourceLimits& limits, RlimitDuty duty) {
  const auto both = [](int resource, std::uint64_t value) {
    return Rlimit{resource, {value, value}};
  };
  std::vector<Rlimit> plan{
      both(RLIMIT_CORE, 0),  // a core file would hold prompts and weights
      both(RLIMIT_MEMLOCK, 0),
      both(RLIMIT_MSGQUEUE, 0),
      both(RLIMIT_NICE, 0),
      both(RLIMIT_RTPRIO, 0),
      both(RLIMIT_NOFILE, limits.open_files_max),
  };
  if (limits.file_bytes_max) plan.push_back(both(RLIMIT_FSIZE, *limits.file_bytes_max));
  if (limits.cpu_seconds_max) {
    // SIGXCPU at the soft limit names the cause; SIGKILL one second later for who ignores it, as
    // the first process of a pid namespace does.
    plan.push_back({RLIMIT_CPU, {*limits.cpu_seconds_max, *limits.cpu_seconds_max + 1}});
  }
  if (limits.memory_bytes_max && duty.memory == EnforcedBy::kRlimit) {
    plan.push_back(both(RLIMIT_DATA, *limits.memory_bytes_max + kReservedBytes));
  }
  if (limits.pids_max && duty.pids == EnforcedBy::kRlimit) {
    plan.push_back(both(RLIMIT_NPROC, *limits.pids_max));
  }
  return plan;
}

int apply_rlimit(const Rlimit& limit) noexcept {
  rlimit current{};
  const auto resource = static_cast<__rlimit_resource>(limit.resource);
  if (::getrlimit(resource, &current) != 0) return errno;
  rlimit wanted = limit.value;
  wanted.rlim_max = std::min(wanted.rlim_max, current.rlim_max);
  wanted.rlim_cur = std::min(wanted.rlim_cur, wanted.rlim_max);
  return ::setrlimit(resource, &wanted) == 0 ? 0 : errno;
}

}  // namespace mlxguard::sandbox
