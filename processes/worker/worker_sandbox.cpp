// SPDX-License-Identifier: Apache-2.0
#include "worker_sandbox.h"

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

namespace mlxguard::worker {

using sandbox::argument_is;
using sandbox::argument_lacks;

sandbox::SeccompPolicy worker_policy() {
  const auto self = static_cast<std::uint64_t>(::getpid());
  return sandbox::SeccompPolicy::kill_unless_named()
      // Memory: as much as the limits let it have, never executable.
      .allow({"munmap", "brk", "madvise", "mremap"})
      .allow_if("mmap", {argument_lacks(2, PROT_EXEC)})
      .allow_if("mprotect", {argument_lacks(2, PROT_EXEC)})
      // Threads of its own, and no other process.
      .allow_threads()
      .allow({"futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "getcpu",
              "gettid", "getpid", "exit", "exit_group"})
      .allow({"rt_sigprocmask", "rt_sigreturn", "restart_syscall"})
      .allow_if("tgkill", {argument_is(0, self), argument_is(2, SIGABRT)})  // abort()
      // Time, randomness, own usage.
      .allow({"clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "getrandom",
              "getrusage"})
      // Messages, on the sockets it was given: making another kills. The supervisor hands over one
      // for each gateway, so their numbers are not known here.
      .allow({"recvmsg", "sendmsg", "poll", "ppoll"})
      .allow_if("write", {argument_is(0, 1)})
      .allow_if("write", {argument_is(0, 2)})
      .allow_if("writev", {argument_is(0, 2)})  // the library's last words when memory is corrupt
      // Descriptors that it was given or made: sealed memory, read where it is not mapped (mlx
      // reads an exported function through read and lseek). Its standard output and error are the
      // writing end of a pipe: nothing can be read there, and there is no offset to move or write
      // at.
      .allow({"read", "lseek", "pread64", "pwrite64", "fstat", "close", "dup", "memfd_create"})
      .allow_if("fcntl", {argument_is(1, F_ADD_SEALS)})
      .allow_if("fcntl", {argument_is(1, F_GET_SEALS)})
      .allow_if("fcntl", {argument_is(1, F_GETFD)})
      .allow_if("fcntl", {argument_is(1, F_DUPFD_CLOEXEC)})
      // What libraries ask and can do without. Paths have no place here: stat(2) would tell about
      // files that Landlock hides. All that is not named, exec and fork and socket first, kills.
      .refuse(EPERM, {"open",         "openat",        "stat",
                      "lstat",        "newfstatat",    "statx",
                      "access",       "faccessat",     "readlink",
                      "readlinkat",   "getcwd",        "ioctl",
                      "prlimit64",    "sysinfo",       "uname",
                      "rt_sigaction", "sigaltstack",   "prctl",
                      "mbind",        "get_mempolicy", "sched_setaffinity"});
}

Result<sandbox::IsolationReport> lock_this_worker(const WorkerSandboxOptions& options) {
  sandbox::IsolationReport report;
  MLXGUARD_TRY(sandbox::require_single_thread());
  MLXGUARD_TRY(sandbox::enter_empty_root(report));
  MLXGUARD_TRY(sandbox::drop_identity_and_capabilities(report));
  MLXGUARD_TRY(sandbox::set_no_new_privileges(report));
  MLXGUARD_TRY(sandbox::refuse_dumps_and_tracers(report));
  MLXGUARD_TRY(sandbox::die_with_parent(report, options.control_fd));
  MLXGUARD_TRY(sandbox::landlock_deny_everything(report));
  MLXGUARD_TRY(sandbox::refuse_new_executable_memory(report));
  MLXGUARD_TRY(worker_policy().load(report));
  return report;
}

}  // namespace mlxguard::worker

// glibc 2.33 and later make fstat(2) from newfstatat(2), which also takes paths and is refused
// above. Defined in the program, this one is what every library of the process finds.
extern "C" int fstat(int fd, struct stat* out) noexcept {
  return static_cast<int>(::syscall(SYS_fstat, fd, out));
}
extern "C" int fstat64(int fd, struct stat64* out) noexcept {
  return static_cast<int>(::syscall(SYS_fstat, fd, out));
}
