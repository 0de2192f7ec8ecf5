// SPDX-License-Identifier: Apache-2.0
// rlimits as a plan, and the kernel's text files about cgroups.
#include <doctest/doctest.h>

#include <algorithm>

#include "sandbox/cgroup_files.h"
#include "sandbox/rlimits.h"

using namespace mlxguard;
using namespace mlxguard::sandbox;

namespace {

std::optional<rlimit> find(const std::vector<Rlimit>& plan, int resource) {
  const auto found = std::ranges::find(plan, resource, &Rlimit::resource);
  if (found == plan.end()) return std::nullopt;
  return found->value;
}

ResourceLimits all_limits() {
  ResourceLimits limits;
  limits.memory_bytes_max = 100;
  limits.cpu_cores_max = 1;
  limits.pids_max = 7;
  limits.cpu_seconds_max = 5;
  limits.file_bytes_max = 9;
  limits.open_files_max = 11;
  return limits;
}

constexpr std::string_view kHybridMounts =
    "30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
constexpr std::string_view kHybridOwn = "4:memory:/a/b:c\n3:cpu,cpuacct:/\n0::/user\n";

}  // namespace

TEST_CASE("rlimits: core files, locked memory and priorities are always zero") {
  const auto plan = plan_rlimits({}, {});
  for (const int resource :
       {RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO}) {
    REQUIRE(find(plan, resource).has_value());
    CHECK(find(plan, resource)->rlim_max == 0);
  }
}

TEST_CASE("rlimits: what a cgroup enforces is left to it") {
  const auto plan = plan_rlimits(all_limits(), {EnforcedBy::kCgroup, EnforcedBy::kCgroup});
  CHECK_FALSE(find(plan, RLIMIT_DATA).has_value());
  CHECK_FALSE(find(plan, RLIMIT_NPROC).has_value());
  CHECK(find(plan, RLIMIT_NOFILE)->rlim_max == 11);
  CHECK(find(plan, RLIMIT_FSIZE)->rlim_max == 9);
}

TEST_CASE("rlimits: without a cgroup they stand in for memory and processes") {
  const auto plan = plan_rlimits(all_limits(), {EnforcedBy::kRlimit, EnforcedBy::kRlimit});
  CHECK(find(plan, RLIMIT_DATA)->rlim_max == 100 + (1u << 30));
  CHECK(find(plan, RLIMIT_NPROC)->rlim_max == 7);
}

TEST_CASE("rlimits: processor time warns a second before it kills") {
  const auto plan = plan_rlimits(all_limits(), {});
  CHECK(find(plan, RLIMIT_CPU)->rlim_cur == 5);
  CHECK(find(plan, RLIMIT_CPU)->rlim_max == 6);
}

TEST_CASE("cgroup: finds the own folder of each controller on a hybrid host") {
  CHECK(find_own_cgroup(kHybridMounts, kHybridOwn, "memory") == "/sys/fs/cgroup/memory/a/b:c");
  CHECK(find_own_cgroup(kHybridMounts, kHybridOwn, "cpu") == "/sys/fs/cgroup/cpu,cpuacct");
  CHECK(find_own_cgroup(kHybridMounts, kHybridOwn, "") == "/sys/fs/cgroup/unified/user");
  CHECK_FALSE(find_own_cgroup(kHybridMounts, kHybridOwn, "pids").has_value());
  // A controller whose name is part of another's is not that other.
  CHECK_FALSE(find_own_cgroup(kHybridMounts, kHybridOwn, "mem").has_value());
}

TEST_CASE("cgroup: a container that sees a part of the tree") {
  constexpr std::string_view kMounts =
      "33 30 0:29 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
  CHECK(find_own_cgroup(kMounts, "0::/docker/1\n", "") == "/sys/fs/cgroup");
  CHECK(find_own_cgroup(kMounts, "0::/docker/1/x\n", "") == "/sys/fs/cgroup/x");
  CHECK(find_own_cgroup(kMounts, "0::/elsewhere\n", "") == "/sys/fs/cgroup");
}

TEST_CASE("cgroup: malformed texts find nothing") {
  CHECK_FALSE(find_own_cgroup("", "", "").has_value());
  CHECK_FALSE(find_own_cgroup("a - b", "0:", "").has_value());
  CHECK_FALSE(find_own_cgroup(kHybridMounts, "x", "memory").has_value());
}

TEST_CASE("cgroup: counters are found by their whole key") {
  constexpr std::string_view kText = "oom_kill_disable 5\nunder_oom 0\noom_kill 3\n";
  CHECK(find_counter(kText, "oom_kill") == 3u);
  CHECK(find_counter(kText, "under_oom") == 0u);
  CHECK_FALSE(find_counter(kText, "oom").has_value());
  CHECK(find_counter("4096\n", "") == 4096u);
  CHECK_FALSE(find_counter("max\n", "").has_value());
}
