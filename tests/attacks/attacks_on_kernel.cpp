// SPDX-License-Identifier: Apache-2.0
// Doors to the kernel where privilege escalations have come from, each knocked on once.
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>

#include "attack.h"

namespace mlxguard::attacks {
namespace {

int start_io_uring(const Context&) {
  io_uring_params parameters{};
  return outcome_of(::syscall(SYS_io_uring_setup, 1, &parameters));
}

int load_bpf(const Context&) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = 4;
  attributes.value_size = 4;
  attributes.max_entries = 1;
  return outcome_of(::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)));
}

int open_perf_event(const Context&) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.size = sizeof(attributes);
  attributes.config = PERF_COUNT_SW_DUMMY;
  attributes.exclude_kernel = 1;
  return outcome_of(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

/// Every argument has all bits set, which no condition of a policy accepts.
int call_by_number(const Context& context) {
  return outcome_of(::syscall(context.system_call, -1, -1, -1, -1, -1, -1));
}

/// Whether another process of this user may read this one, or a core file be made of it.
int be_dumpable(const Context&) {
  const int dumpable = ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  return dumpable == 0 ? EPERM : 0;
}

/// Whether this process would live on without its parent.
int outlive_parent(const Context&) {
  int signal_number = 0;
  if (::prctl(PR_GET_PDEATHSIG, &signal_number, 0, 0, 0) != 0) return errno;
  return signal_number == SIGKILL ? EPERM : 0;
}

/// Whether an exec could raise privileges again.
int gain_privileges(const Context&) {
  return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? EPERM : 0;
}

constexpr std::array kAttacks{
    Attack{"be_dumpable", be_dumpable},
    Attack{"outlive_parent", outlive_parent},
    Attack{"gain_privileges", gain_privileges},
    Attack{"call_by_number", call_by_number},
    Attack{"io_uring", start_io_uring},
    Attack{"bpf", load_bpf},
    Attack{"perf_event", open_perf_event},
    Attack{"userfaultfd", [](const Context&) { return outcome_of(::syscall(SYS_userfaultfd, 1)); }},
    Attack{"keyctl", [](const Context&) { return outcome_of(::syscall(SYS_keyctl, 0, -3, 1)); }},
    Attack{"mount",
           [](const Context&) { return outcome_of(::mount("none", "/", "tmpfs", 0, nullptr)); }},
    Attack{"unshare_user", [](const Context&) { return outcome_of(::unshare(CLONE_NEWUSER)); }},
    Attack{"unshare_mount", [](const Context&) { return outcome_of(::unshare(CLONE_NEWNS)); }},
    Attack{"chroot", [](const Context&) { return outcome_of(::chroot("/")); }},
    Attack{"another_filter",
           [](const Context&) { return outcome_of(::syscall(SYS_seccomp, 1, 0, nullptr)); }},
    Attack{"become_dumpable",
           [](const Context&) {
             return outcome_of(::syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
           }},
    Attack{"survive_parent",
           [](const Context&) {
             return outcome_of(::syscall(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0));
           }},
    Attack{"raise_rlimit",
           [](const Context&) {
             return outcome_of(::syscall(SYS_prlimit64, 0, 7, nullptr, nullptr));
           }},
    Attack{"set_rlimit",
           [](const Context&) {
             const std::uint64_t limits[2] = {64, 64};
             return outcome_of(::syscall(SYS_prlimit64, 0, 7, limits, nullptr));
           }},
    Attack{"system_v_memory",
           [](const Context&) { return outcome_of(::syscall(SYS_shmget, 0, 4096, 01600)); }},
    Attack{"personality",
           [](const Context&) { return outcome_of(::syscall(SYS_personality, 0x0400000)); }},
};

}  // namespace

std::span<const Attack> kernel_attacks() { return kAttacks; }

}  // namespace mlxguard::attacks
