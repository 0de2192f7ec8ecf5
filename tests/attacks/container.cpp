// SPDX-License-Identifier: Apache-2.0
#include "container.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <vector>

#include "base/os_error.h"
#include "sandbox/privileges.h"

namespace mlxguard::attacks {
namespace {

constexpr std::uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t kNoSuchCall = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::uint32_t kNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                      CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}

/// A deny-list over allow-all, written as instructions since a SeccompPolicy cannot say that.
std::vector<sock_filter> container_filter() {
  std::vector<sock_filter> filter{load(offsetof(seccomp_data, nr))};
  const auto answer = [&filter](long number, std::uint32_t action) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, action));
  };
  for (const long number :
       {SYS_unshare, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_setns, SYS_bpf, SYS_userfaultfd}) {
    answer(number, kRefuse);
  }
  answer(SYS_clone3, kNoSuchCall);
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3));
  filter.push_back(load(offsetof(seccomp_data, args)));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kNamespaces, 0, 1));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, kRefuse));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return filter;
}

}  // namespace

Result<void> become_ordinary_user() {
  sandbox::IsolationReport ignored;
  MLXGUARD_TRY(sandbox::drop_identity_and_capabilities(ignored));
  // A change of identity made this process's own /proc files root's.
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return os_error("become dumpable");
  return {};
}

Result<void> enter_container_like_confinement() {
  MLXGUARD_TRY(become_ordinary_user());
  sandbox::IsolationReport ignored;
  MLXGUARD_TRY(sandbox::set_no_new_privileges(ignored));
  std::vector<sock_filter> filter = container_filter();
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
    return os_error("load the container's filter");
  }
  return {};
}

}  // namespace mlxguard::attacks
