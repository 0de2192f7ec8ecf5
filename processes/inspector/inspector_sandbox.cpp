// SPDX-License-Identifier: Apache-2.0
#include "inspector_sandbox.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"

namespace mlxguard::inspector {

using sandbox::argument_is;
using sandbox::argument_lacks;

sandbox::SeccompPolicy inspector_policy() {
  const auto self = static_cast<std::uint64_t>(::getpid());
  return sandbox::SeccompPolicy::kill_unless_named()
      // Memory, never executable: its own, and the files that it is handed.
      .allow({"munmap", "brk", "madvise", "mremap"})
      .allow_if("mmap", {argument_lacks(2, PROT_EXEC)})
      .allow_if("mprotect", {argument_lacks(2, PROT_EXEC)})
      .allow({"futex", "sched_yield", "getcpu", "gettid", "getpid", "exit", "exit_group"})
      .allow({"rt_sigprocmask", "rt_sigreturn", "restart_syscall"})
      .allow_if("tgkill", {argument_is(0, self), argument_is(2, SIGABRT)})  // abort()
      .allow({"clock_gettime", "gettimeofday", "getrandom"})
      // Messages on its socket; answers that are long travel in sealed memory.
      .allow({"recvmsg", "sendmsg", "poll", "ppoll"})
      .allow_if("write", {argument_is(0, 2)})
      .allow_if("writev", {argument_is(0, 2)})  // the library's last words when memory is corrupt
      .allow({"pread64", "pwrite64", "fstat", "close", "dup", "memfd_create"})
      .allow_if("fcntl", {argument_is(1, F_ADD_SEALS)})
      .allow_if("fcntl", {argument_is(1, F_GET_SEALS)})
      .allow_if("fcntl", {argument_is(1, F_GETFD)})
      // What libraries ask and can do without. All that is not named kills.
      .refuse(EPERM, {"open", "openat", "stat", "lstat", "newfstatat", "statx", "access",
                      "faccessat", "readlink", "readlinkat", "ioctl", "prlimit64", "sysinfo",
                      "uname", "rt_sigaction", "sigaltstack", "prctl"});
}

Result<sandbox::IsolationReport> lock_this_inspector(const InspectorSandboxOptions& options) {
  sandbox::IsolationReport report;
  MLXGUARD_TRY(sandbox::require_single_thread());
  MLXGUARD_TRY(sandbox::enter_empty_root(report));
  MLXGUARD_TRY(sandbox::drop_identity_and_capabilities(report));
  MLXGUARD_TRY(sandbox::set_no_new_privileges(report));
  MLXGUARD_TRY(sandbox::refuse_dumps_and_tracers(report));
  MLXGUARD_TRY(sandbox::die_with_parent(report, options.control_fd));
  MLXGUARD_TRY(sandbox::landlock_deny_everything(report));
  MLXGUARD_TRY(sandbox::refuse_new_executable_memory(report));
  MLXGUARD_TRY(inspector_policy().load(report));
  return report;
}

}  // namespace mlxguard::inspector

// glibc 2.33 and later make fstat(2) from newfstatat(2), which also takes paths and is refused
// above.
extern "C" int fstat(int fd, struct stat* out) noexcept {
  return static_cast<int>(::syscall(SYS_fstat, fd, out));
}
extern "C" int fstat64(int fd, struct stat64* out) noexcept {
  return static_cast<int>(::syscall(SYS_fstat, fd, out));
}
