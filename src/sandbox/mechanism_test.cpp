// SPDX-License-Identifier: Apache-2.0
// Each mechanism alone, in a child: what it refuses with nothing beside it. Together they overlap
// (an open is refused four times over), so a missing one shows only here.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>

#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"
#include "sandbox/seccomp.h"
#include "sandbox/test_child.h"

using namespace mlxguard;
using namespace mlxguard::sandbox;

namespace {

constexpr int kKilledBySigsys = 1000 + SIGSYS;

template <class Attack>
int under_landlock(Attack attack) {
  return in_child([&] {
    IsolationReport report;
    if (!set_no_new_privileges(report) || !landlock_deny_everything(report)) return kLockFailed;
    return attack();
  });
}

template <class Attack>
int under_policy(const SeccompPolicy& policy, Attack attack) {
  return in_child([&] {
    IsolationReport report;
    if (!set_no_new_privileges(report) || !policy.load(report)) return kLockFailed;
    return attack();
  });
}

sockaddr_in loopback() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

const SeccompPolicy kExitOnly =
    SeccompPolicy::kill_unless_named().allow({"exit", "exit_group", "rt_sigreturn"});

}  // namespace

TEST_CASE("landlock: refuses to open, create, list and remove files") {
  CHECK(under_landlock([] { return errno_of(::open("/etc/passwd", O_RDONLY)); }) == EACCES);
  CHECK(under_landlock([] { return errno_of(::open("/etc", O_RDONLY | O_DIRECTORY)); }) == EACCES);
  CHECK(under_landlock([] { return errno_of(::open("/tmp", O_TMPFILE | O_WRONLY, 0600)); }) ==
        EACCES);
  const std::string folder = "/tmp/mlxguard-test-" + std::to_string(::getpid());
  CHECK(under_landlock([&] { return errno_of(::mkdir(folder.c_str(), 0700)); }) == EACCES);
  ::rmdir(folder.c_str());
  CHECK(under_landlock([] { return errno_of(::rmdir("/tmp")); }) != 0);
}

TEST_CASE("landlock: refuses to execute") {
  CHECK(under_landlock([] { return errno_of(::execl("/bin/true", "true", nullptr)); }) == EACCES);
}

TEST_CASE("landlock: refuses to bind and connect TCP" * doctest::skip(landlock_abi() < 4)) {
  const auto tcp = [] { return ::socket(AF_INET, SOCK_STREAM, 0); };
  CHECK(under_landlock([&] {
          const sockaddr_in address = loopback();
          return errno_of(
              ::bind(tcp(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
        }) == EACCES);
  CHECK(under_landlock([&] {
          sockaddr_in address = loopback();
          address.sin_port = htons(9);
          return errno_of(
              ::connect(tcp(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
        }) == EACCES);
}

TEST_CASE("landlock: refuses signals to others and their abstract sockets" *
          doctest::skip(landlock_abi() < 6)) {
  CHECK(under_landlock([] { return errno_of(::kill(::getppid(), 0)); }) == EPERM);

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "mlxguard-test-" + std::to_string(::getpid());
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(listener, reinterpret_cast<const sockaddr*>(&address), length) == 0);
  REQUIRE(::listen(listener, 1) == 0);
  const auto connect_to_it = [&] {
    return errno_of(::connect(::socket(AF_UNIX, SOCK_STREAM, 0),
                              reinterpret_cast<const sockaddr*>(&address), length));
  };
  CHECK(in_child(connect_to_it) == 0);
  CHECK(under_landlock(connect_to_it) == EPERM);
  ::close(listener);
}

TEST_CASE("seccomp: what is not named kills the process" * doctest::skip(kSanitized)) {
  CHECK(under_policy(kExitOnly, [] { return 7; }) == 7);
  CHECK(under_policy(kExitOnly, [] { return static_cast<int>(::getppid()) * 0; }) ==
        kKilledBySigsys);
}

TEST_CASE("seccomp: a refused call fails with its number" * doctest::skip(kSanitized)) {
  const auto policy = kExitOnly.refuse(ENOSYS, {"getppid"});
  CHECK(under_policy(policy, [] { return errno_of(::syscall(SYS_getppid)); }) == ENOSYS);
}

TEST_CASE("seccomp: a condition allows what meets it and kills the rest" *
          doctest::skip(kSanitized)) {
  const auto policy = kExitOnly.allow_if("mmap", {argument_lacks(2, PROT_EXEC)});
  const auto map = [](int protection) {
    return ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? 1
                                                                                               : 0;
  };
  CHECK(under_policy(policy, [&] { return map(PROT_READ | PROT_WRITE); }) == 0);
  CHECK(under_policy(policy, [&] { return map(PROT_READ | PROT_EXEC); }) == kKilledBySigsys);
}

TEST_CASE("seccomp: several conditions on one call are alternatives, on one rule all are needed" *
          doctest::skip(kSanitized)) {
  const auto policy = kExitOnly.allow_if("getpgid", {argument_is(0, 0)})
                          .allow_if("getpgid", {argument_is(0, 1)})
                          .allow_if("setpgid", {argument_is(0, 0), argument_is(1, 0)});
  CHECK(under_policy(policy, [] { return errno_of(::getpgid(1)) * 0; }) == 0);
  CHECK(under_policy(policy, [] { return errno_of(::getpgid(2)) * 0; }) == kKilledBySigsys);
  CHECK(under_policy(policy, [] { return errno_of(::setpgid(0, 0)) * 0; }) == 0);
  CHECK(under_policy(policy, [] { return errno_of(::setpgid(0, 1)) * 0; }) == kKilledBySigsys);
}

TEST_CASE("seccomp: has-but-lacks wants every bit of one set and none of the other" *
          doctest::skip(kSanitized)) {
  const auto policy = kExitOnly.allow_if("getpgid", {argument_has_but_lacks(0, 6, 8)});
  const auto call = [](pid_t value) { return [value] { return errno_of(::getpgid(value)) * 0; }; };
  CHECK(under_policy(policy, call(6)) == 0);
  CHECK(under_policy(policy, call(7)) == 0);
  CHECK(under_policy(policy, call(4)) == kKilledBySigsys);
  CHECK(under_policy(policy, call(14)) == kKilledBySigsys);
}

TEST_CASE("seccomp: binds threads that run already" * doctest::skip(kSanitized)) {
  const auto policy =
      kExitOnly.allow({"futex", "clock_nanosleep", "munmap", "madvise", "rt_sigprocmask", "rseq"});
  CHECK(in_child([&] {
          std::atomic<bool> loaded{false};
          std::thread other([&] {
            while (!loaded) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            ::syscall(SYS_getppid);
            ::_exit(1);
          });
          IsolationReport report;
          if (!set_no_new_privileges(report) || !policy.load(report)) return kLockFailed;
          loaded = true;
          other.join();
          return 2;
        }) == kKilledBySigsys);
}

TEST_CASE("seccomp: a policy with a name that is no system call does not load") {
  const auto policy = kExitOnly.allow({"opne"});
  CHECK(in_child([&] {
          IsolationReport report;
          if (!set_no_new_privileges(report)) return kLockFailed;
          const auto loaded = policy.load(report);
          return !loaded && loaded.error().code == ErrorCode::kInternal ? 0 : 1;
        }) == 0);
}

TEST_CASE("seccomp: an ordinary user without no_new_privs gets an error, not a silent gap") {
  CHECK(in_child([] {
          IsolationReport report;
          if (!drop_identity_and_capabilities(report)) return kLockFailed;
          const auto loaded = kExitOnly.load(report);
          return !loaded && loaded.error().code == ErrorCode::kSandbox ? 0 : 1;
        }) == 0);
}

TEST_CASE("privileges: a second thread before the lock is found" * doctest::skip(kNeverAlone)) {
  CHECK(in_child([] { return require_single_thread() ? 0 : 1; }) == 0);
  CHECK(in_child([] {
          std::thread sleeper([] { ::pause(); });
          const auto checked = require_single_thread();
          ::_exit(!checked && checked.error().code == ErrorCode::kSandboxThreads ? 0 : 1);
          return 2;
        }) == 0);
}

TEST_CASE("privileges: identity and capabilities are gone and do not come back") {
  CHECK(in_child([] {
          IsolationReport report;
          if (!drop_identity_and_capabilities(report)) return kLockFailed;
          std::array<__user_cap_data_struct, 2> sets{};
          __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
          ::syscall(SYS_capget, &header, sets.data());
          for (const auto& half : sets) {
            if ((half.effective | half.permitted | half.inheritable) != 0) return 1;
          }
          if (::geteuid() == 0 || ::getuid() == 0 || ::getegid() == 0) return 2;
          if (::setresuid(0, 0, 0) == 0 || ::setresgid(0, 0, 0) == 0) return 3;
          return 0;
        }) == 0);
}

TEST_CASE("privileges: root's bounding set is emptied" * doctest::skip(::geteuid() != 0)) {
  CHECK(in_child([] {
          IsolationReport report;
          if (!drop_identity_and_capabilities(report)) return kLockFailed;
          return ::prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) +
                 ::prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0);
        }) == 0);
}

TEST_CASE("privileges: no_new_privs and dumpable say what was asked") {
  CHECK(in_child([] {
          IsolationReport report;
          if (!set_no_new_privileges(report) || !refuse_dumps_and_tracers(report)) {
            return kLockFailed;
          }
          return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                         ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0
                     ? 0
                     : 1;
        }) == 0);
}

TEST_CASE("privileges: a process dies with its parent") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  int control[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) == 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    int told[2];
    if (::pipe2(told, O_CLOEXEC) != 0) ::_exit(1);
    if (::fork() == 0) {  // it holds the writing end until it dies
      IsolationReport report;
      const char done = die_with_parent(report, control[1]) ? 'y' : 'n';
      [[maybe_unused]] const ssize_t written = ::write(told[1], &done, 1);
      ::sleep(10);
      ::_exit(1);
    }
    char done = 0;
    [[maybe_unused]] const ssize_t got = ::read(told[0], &done, 1);
    ::_exit(done == 'y' ? 0 : 1);
  }
  ::close(ends[1]);
  int status = 0;
  ::waitpid(parent, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  pollfd closed{ends[0], 0, 0};
  CHECK(::poll(&closed, 1, 5000) == 1);  // no writer is left: the grandchild is dead
  ::close(ends[0]);
  ::close(control[0]);
  ::close(control[1]);
}

TEST_CASE("privileges: a parent that is gone already is noticed") {
  CHECK(in_child([] {
          int control[2];
          if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0) return 9;
          IsolationReport report;
          if (!die_with_parent(report, control[1])) return 1;
          ::close(control[0]);
          const auto refused = die_with_parent(report, control[1]);
          return !refused && refused.error().code == ErrorCode::kSandbox ? 0 : 2;
        }) == 0);
}

TEST_CASE("privileges: memory once writable does not become executable" *
          doctest::skip(!executable_memory_switch_available())) {
  CHECK(in_child([] {
          IsolationReport report;
          if (!refuse_new_executable_memory(report)) return kLockFailed;
          void* page =
              ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          return errno_of(::mprotect(page, 4096, PROT_READ | PROT_EXEC));
        }) == EACCES);
}

TEST_CASE("namespaces: the new root is empty and read-only" * doctest::skip(::geteuid() != 0)) {
  CHECK(in_child([] {
          IsolationReport report;
          if (!enter_empty_root(report)) return kLockFailed;
          if (!report.has(Mechanism::kEmptyRoot)) return 0;  // not permitted here
          if (::access("/etc", F_OK) == 0 || ::access("/../etc", F_OK) == 0) return 1;
          if (::mkdir("/x", 0700) == 0 || errno != EROFS) return 2;
          return ::open("/proc/self/status", O_RDONLY) < 0 ? 0 : 3;
        }) == 0);
}
