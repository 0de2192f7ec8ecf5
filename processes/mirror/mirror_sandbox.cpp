// SPDX-License-Identifier: Apache-2.0
#include "mirror_sandbox.h"

#include <linux/netlink.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "codec/json.h"
#include "sandbox/landlock.h"
#include "sandbox/privileges.h"

namespace mlxguard::mirror {
namespace {

using sandbox::argument_has;
using sandbox::argument_is;
using sandbox::argument_lacks;

constexpr std::uint64_t kSocketType = 0xf;     // of the second argument, beside its flags
constexpr std::uint16_t kNameServerPort = 53;  // over TCP, for answers that are too long for UDP

/// What the C library and the TLS library read when they resolve names and check certificates.
std::vector<std::string> resolver_and_trust_files() {
  std::vector<std::string> files = {"/etc/resolv.conf",
                                    "/etc/hosts",
                                    "/etc/host.conf",
                                    "/etc/gai.conf",
                                    "/etc/services",
                                    "/etc/nsswitch.conf",
                                    "/etc/localtime",
                                    "/dev/urandom",
                                    "/etc/ssl/openssl.cnf",
                                    "/etc/ssl/certs",
                                    "/etc/pki",
                                    "/usr/share/ca-certificates",
                                    "/usr/lib/ssl",
                                    "/usr/local/share/ca-certificates"};
  // Where another program writes resolv.conf, it replaces the file in a folder of its own.
  std::error_code problem;
  const auto real = std::filesystem::canonical("/etc/resolv.conf", problem);
  if (!problem && real.parent_path() != "/etc") files.push_back(real.parent_path().string());
  return files;
}

}  // namespace

sandbox::SeccompPolicy mirror_policy() {
  const auto self = static_cast<std::uint64_t>(::getpid());
  return sandbox::SeccompPolicy::kill_unless_named()
      // Files, which Landlock confines to the state folder.
      .allow({"open",      "openat",     "close",    "read",       "readv",      "pread64",
              "write",     "writev",     "pwrite64", "lseek",      "stat",       "lstat",
              "fstat",     "newfstatat", "statx",    "statfs",     "fstatfs",    "access",
              "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd"})
      .allow({"mkdir",  "mkdirat",   "rmdir",           "rename",    "renameat",  "renameat2",
              "link",   "linkat",    "unlink",          "unlinkat",  "ftruncate", "fallocate",
              "fsync",  "fdatasync", "sync_file_range", "fadvise64", "flock",     "fcntl",
              "fchmod", "fchown",    "umask",           "dup",       "dup2",      "dup3"})
      // Connections: those of installers on the socket that listens already, its own to upstream
      // and to name servers. The address family and type decide; Landlock knows the ports.
      .allow({"accept", "accept4", "connect", "bind", "getsockname", "getpeername", "getsockopt",
              "setsockopt", "shutdown", "sendto", "sendmsg", "sendmmsg", "sendfile", "recvfrom",
              "recvmsg", "recvmmsg"})
      .allow_if("socket", {argument_is(0, AF_INET)})
      .allow_if("socket", {argument_is(0, AF_INET6)})
      .allow_if("socket", {argument_is(0, AF_NETLINK), argument_is(2, NETLINK_ROUTE)})
      .refuse_if(EACCES, "socket", {argument_is(0, AF_UNIX)})  // a cache of names, if there is one
      // Connected for good, to wake threads; a pair of datagrams could be turned elsewhere.
      .allow_if("socketpair", {argument_is(0, AF_UNIX), {1, kSocketType, SOCK_STREAM}})
      .allow_if("ioctl", {argument_is(1, FIONBIO)})
      .allow_if("ioctl", {argument_is(1, FIONREAD)})
      .refuse_if(ENOTTY, "ioctl", {argument_is(1, TCGETS)})
      // The event loop and what wakes it.
      .allow({"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "poll", "ppoll", "select",
              "pselect6", "eventfd2", "pipe", "pipe2", "timerfd_create", "timerfd_settime",
              "timerfd_gettime"})
      // Memory, never executable. A library that would load another one gets an error.
      .allow({"munmap", "brk", "madvise", "mremap", "msync", "mlock", "mlock2", "munlock"})
      .allow_if("mmap", {argument_lacks(2, PROT_EXEC)})
      .refuse_if(EPERM, "mmap", {argument_has(2, PROT_EXEC)})
      .allow_if("mprotect", {argument_lacks(2, PROT_EXEC)})
      .refuse_if(EPERM, "mprotect", {argument_has(2, PROT_EXEC)})
      // Threads of its own, and no other process.
      .allow_threads()
      .allow({"futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "getcpu",
              "gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "exit",
              "exit_group"})
      .allow({"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"})
      .allow_if("tgkill", {argument_is(0, self), argument_is(2, SIGABRT)})  // abort()
      .allow_if("prctl", {argument_is(0, PR_SET_NAME)})
      .allow_if("prlimit64", {argument_is(0, 0), argument_is(2, 0)})  // reads its own limits
      // Time, randomness, own usage.
      .allow({"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday",
              "time", "getrandom", "getrusage", "sysinfo", "uname"});
}

Result<sandbox::IsolationReport> lock_this_mirror(const MirrorSandboxOptions& options) {
  sandbox::LandlockExceptions exceptions;
  exceptions.readable = resolver_and_trust_files();
  if (!options.ca_bundle.empty()) exceptions.readable.push_back(options.ca_bundle);
  exceptions.writable = {options.state.string()};
  exceptions.connect_ports = options.connect_ports;
  exceptions.connect_ports.push_back(kNameServerPort);
  sandbox::IsolationReport report;
  MLXGUARD_TRY(sandbox::require_single_thread());
  MLXGUARD_TRY(sandbox::drop_capabilities(report));
  MLXGUARD_TRY(sandbox::set_no_new_privileges(report));
  MLXGUARD_TRY(sandbox::refuse_dumps_and_tracers(report));
  MLXGUARD_TRY(sandbox::landlock_deny_all_but(exceptions, report));
  MLXGUARD_TRY(sandbox::refuse_new_executable_memory(report));
  MLXGUARD_TRY(mirror_policy().load(report));
  return report;
}

}  // namespace mlxguard::mirror
