// SPDX-License-Identifier: Apache-2.0
// What a process keeps that cannot do without files and network: each exception in a child, beside
// what it must not open.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "sandbox/landlock.h"
#include "sandbox/privileges.h"
#include "sandbox/seccomp.h"
#include "sandbox/test_child.h"

using namespace mlxguard;
using namespace mlxguard::sandbox;

TEST_CASE("landlock: exceptions are all that is left" * doctest::skip(landlock_abi() < 2)) {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::temp_directory_path() / ("landlock_exceptions_" + std::to_string(::getpid()));
  fs::create_directories(folder / "state" / "a");
  fs::create_directories(folder / "state" / "b");
  fs::create_directories(folder / "read");
  std::ofstream(folder / "read" / "file") << "x";
  std::ofstream(folder / "state" / "a" / "file") << "x";
  const auto under = [&](auto attack) {
    return in_child([&] {
      IsolationReport report;
      const LandlockExceptions exceptions{
          {folder / "read", folder / "absent"}, {folder / "state"}, {443}};
      if (!set_no_new_privileges(report) || !landlock_deny_all_but(exceptions, report)) {
        return kLockFailed;
      }
      return attack();
    });
  };
  const auto opens = [&](const fs::path& path, int flags) {
    return under([&] { return errno_of(::open(path.c_str(), flags, 0600)); });
  };
  CHECK(opens(folder / "read" / "file", O_RDONLY) == 0);
  CHECK(opens(folder / "read" / "file", O_WRONLY) == EACCES);
  CHECK(opens(folder / "read" / "new", O_WRONLY | O_CREAT) == EACCES);
  CHECK(opens(folder / "state" / "a" / "new", O_WRONLY | O_CREAT) == 0);
  CHECK(opens(folder, O_RDONLY | O_DIRECTORY) == EACCES);
  CHECK(opens("/etc/passwd", O_RDONLY) == EACCES);
  CHECK(under([&] {
          const fs::path state = folder / "state";
          return errno_of(::rename((state / "a" / "file").c_str(), (state / "b" / "file").c_str()));
        }) == 0);
  CHECK(under([&] {
          return errno_of(::symlink("/etc/passwd", (folder / "state" / "link").c_str()));
        }) == EACCES);
  const auto connects = [&](std::uint16_t port) {
    return under([&] {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.sin_port = htons(port);
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      return errno_of(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
    });
  };
  if (landlock_abi() >= 4) {
    CHECK(connects(444) == EACCES);
    CHECK(connects(443) != EACCES);
  }
  fs::remove_all(folder);
}

TEST_CASE("seccomp: a refusal may hold for some arguments only" * doctest::skip(kSanitized)) {
  const auto policy = SeccompPolicy::kill_unless_named()
                          .allow({"exit_group", "exit"})
                          .allow_if("socket", {argument_is(0, AF_INET)})
                          .refuse_if(EACCES, "socket", {argument_is(0, AF_UNIX)});
  const auto opens = [&](int family) {
    return in_child([&] {
      IsolationReport report;
      if (!set_no_new_privileges(report) || !policy.load(report)) return kLockFailed;
      return errno_of(::syscall(SYS_socket, family, SOCK_STREAM, 0));
    });
  };
  CHECK(opens(AF_INET) == 0);
  CHECK(opens(AF_UNIX) == EACCES);
  CHECK(opens(AF_NETLINK) == 1000 + SIGSYS);
}

TEST_CASE("privileges: capabilities go and the identity stays") {
  CHECK(in_child([] {
          const uid_t before = ::getuid();
          IsolationReport report;
          if (!drop_capabilities(report) || !report.has(Mechanism::kNoCapabilities)) return 1;
          if (::getuid() != before) return 2;
          return ::unshare(CLONE_NEWNS) == 0 ? 3 : 0;
        }) == 0);
}
