// SPDX-License-Identifier: Apache-2.0
// every_syscall VICTIM worker|gateway LEVEL: makes each system call number there is, each in a
// victim of its own, with arguments that meet no condition. All must kill but those written here: a
// second list, so that a policy cannot grow without somebody writing it twice.
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <set>
#include <span>

#include "run_attack.h"
#include "sandbox/spawn.h"

using namespace mlxguard;

namespace {

// Beyond the last number of today's kernels: a new call must be unknown to the policy, so it kills.
constexpr long kNumbersEnd = 520;

constexpr std::array kAllowedToBoth{SYS_munmap,
                                    SYS_brk,
                                    SYS_madvise,
                                    SYS_mremap,
                                    SYS_futex,
                                    SYS_sched_yield,
                                    SYS_sched_getaffinity,
                                    SYS_getcpu,
                                    SYS_gettid,
                                    SYS_getpid,
                                    SYS_exit,
                                    SYS_exit_group,
                                    SYS_rt_sigprocmask,
                                    SYS_rt_sigreturn,
                                    SYS_restart_syscall,
                                    SYS_clock_gettime,
                                    SYS_clock_nanosleep,
                                    SYS_nanosleep,
                                    SYS_gettimeofday,
                                    SYS_getrandom,
                                    SYS_getrusage,
                                    SYS_recvmsg,
                                    SYS_sendmsg,
                                    SYS_poll,
                                    SYS_ppoll,
                                    SYS_read,
                                    SYS_pwrite64,
                                    SYS_fstat,
                                    SYS_close,
                                    SYS_dup,
                                    SYS_memfd_create};
constexpr std::array kAllowedToWorker{SYS_set_robust_list, SYS_rseq, SYS_pread64, SYS_lseek};
constexpr std::array kAllowedToGateway{
    SYS_accept,      SYS_accept4,  SYS_getsockname,    SYS_getpeername,     SYS_getsockopt,
    SYS_setsockopt,  SYS_shutdown, SYS_recvfrom,        SYS_write,
    SYS_writev,      SYS_sendto,   SYS_epoll_create1,  SYS_epoll_ctl,       SYS_epoll_wait,
    SYS_epoll_pwait, SYS_eventfd2, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime,
    SYS_getuid,         SYS_geteuid,         SYS_getgid,
    SYS_getegid,     SYS_time};

constexpr std::array kRefusedToBoth{SYS_open,        SYS_openat,     SYS_stat,
                                    SYS_lstat,       SYS_newfstatat, SYS_statx,
                                    SYS_access,      SYS_faccessat,  SYS_readlink,
                                    SYS_readlinkat,  SYS_getcwd,     SYS_prlimit64,
                                    SYS_sysinfo,     SYS_uname,      SYS_rt_sigaction,
                                    SYS_sigaltstack, SYS_prctl,      SYS_sched_setaffinity};
constexpr std::array kRefusedToWorker{SYS_ioctl, SYS_mbind, SYS_get_mempolicy};

// uretprobe and uprobe of x86-64: newer kernels let them pass every filter, since the kernel itself
// puts them into traced programs. Called otherwise they end in SIGILL and ENXIO.
constexpr std::array kBeyondFilters{335, 336};

using Numbers = std::set<long>;

Numbers join(std::span<const int> first, std::span<const int> second) {
  Numbers all(first.begin(), first.end());
  all.insert(second.begin(), second.end());
  return all;
}

/// How many numbers have another outcome than written.
int differences(const sandbox::Host& host, int program, const Numbers& allowed,
                const Numbers& refused) {
  int count = 0;
  for (long number = 0; number < kNumbersEnd; ++number) {
    if (allowed.contains(number)) continue;
    if (std::ranges::find(kBeyondFilters, number) != kBeyondFilters.end()) continue;
    std::string expected = refused.contains(number) ? "EPERM" : "verdict policy_syscall";
    if (number == SYS_clone3 && refused.contains(number)) expected = "ENOSYS";
    const auto found = attacks::run_attack(host, program, "call_by_number", number);
    if (found && *found == expected) continue;
    std::fprintf(stderr, "system call %ld: expected %s, found %s\n", number, expected.c_str(),
                 found ? found->c_str() : found.error().message.c_str());
    ++count;
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto program = sandbox::open_program(argv[1]);
  const auto host = attacks::host_at_level(argv[3]);
  if (!program || !host) return 2;
  if (!host->has_value()) return attacks::kSkipped;
  Numbers allowed;
  Numbers refused;
  if (std::strcmp(argv[2], "worker") == 0) {
    allowed = join(kAllowedToBoth, kAllowedToWorker);
    refused = join(kRefusedToBoth, kRefusedToWorker);
    refused.insert(SYS_clone3);
  } else {
    allowed = join(kAllowedToBoth, kAllowedToGateway);
    refused = join(kRefusedToBoth, {});
  }
  return differences(**host, program->get(), allowed, refused) == 0 ? 0 : 1;
}
