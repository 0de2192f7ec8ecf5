// SPDX-License-Identifier: Apache-2.0
#include "gateway_sandbox.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"

namespace mlxguard::gateway {

using sandbox::argument_is;
using sandbox::argument_lacks;

sandbox::SeccompPolicy gateway_policy() {
  const auto self = static_cast<std::uint64_t>(::getpid());
  return sandbox::SeccompPolicy::kill_unless_named()
      // Connections that others open: accepted, configured, closed. Never socket, bind or connect.
      .allow({"accept", "accept4", "getsockname", "getpeername", "getsockopt", "setsockopt",
              "shutdown"})
      // `read` is for the event loop's own counters: standard output is for writing only.
      .allow({"read", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg"})
      .allow_if("ioctl", {argument_is(1, FIONBIO)})
      .allow_if("ioctl", {argument_is(1, FIONREAD)})
      // The event loop.
      .allow({"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "poll", "ppoll",
              "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime"})
      // Large payloads to and from workers, as sealed memory; own descriptors.
      .allow({"memfd_create", "pwrite64", "fstat", "close", "dup"})
      .allow_if("fcntl", {argument_is(1, F_ADD_SEALS)})
      .allow_if("fcntl", {argument_is(1, F_GET_SEALS)})
      .allow_if("fcntl", {argument_is(1, F_GETFD)})
      .allow_if("fcntl", {argument_is(1, F_SETFD)})
      .allow_if("fcntl", {argument_is(1, F_GETFL)})
      .allow_if("fcntl", {argument_is(1, F_SETFL)})
      .allow_if("fcntl", {argument_is(1, F_DUPFD_CLOEXEC)})
      // Memory, never executable.
      .allow({"munmap", "brk", "madvise", "mremap"})
      .allow_if("mmap", {argument_lacks(2, PROT_EXEC)})
      .allow_if("mprotect", {argument_lacks(2, PROT_EXEC)})
      // One thread, its signals, its end.
      .allow({"futex", "sched_yield", "sched_getaffinity", "getcpu", "gettid", "getpid", "getuid",
              "geteuid", "getgid", "getegid", "exit", "exit_group"})
      .allow({"rt_sigprocmask", "rt_sigreturn", "restart_syscall"})
      .allow_if("tgkill", {argument_is(0, self), argument_is(2, SIGABRT)})  // abort()
      // Time, randomness, own usage.
      .allow({"clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getrandom",
              "getrusage"})
      // What libraries ask and can do without; all that is not named kills.
      .refuse(EPERM, {"open", "openat", "stat", "lstat", "newfstatat", "statx", "access",
                      "faccessat", "readlink", "readlinkat", "getcwd", "prlimit64", "sysinfo",
                      "uname", "rt_sigaction", "sigaltstack", "prctl", "sched_setaffinity"});
}

Result<sandbox::IsolationReport> lock_this_gateway(const GatewaySandboxOptions& options) {
  sandbox::IsolationReport report;
  MLXGUARD_TRY(sandbox::require_single_thread());
  MLXGUARD_TRY(sandbox::enter_empty_root(report));
  MLXGUARD_TRY(sandbox::drop_identity_and_capabilities(report));
  MLXGUARD_TRY(sandbox::set_no_new_privileges(report));
  MLXGUARD_TRY(sandbox::refuse_dumps_and_tracers(report));
  MLXGUARD_TRY(sandbox::die_with_parent(report, options.control_fd));
  MLXGUARD_TRY(sandbox::landlock_deny_everything(report));
  MLXGUARD_TRY(sandbox::refuse_new_executable_memory(report));
  MLXGUARD_TRY(gateway_policy().load(report));
  return report;
}

}  // namespace mlxguard::gateway

// glibc 2.33 and later make fstat(2) from newfstatat(2), which also takes paths and is refused
// above. Defined in the program, this one is what every library of the process finds.
extern "C" int fstat(int fd, struct stat* out) noexcept {
  return static_cast<int>(::syscall(SYS_fstat, fd, out));
}
extern "C" int fstat64(int fd, struct stat64* out) noexcept {
  return static_cast<int>(::syscall(SYS_fstat, fd, out));
}
