// SPDX-License-Identifier: Apache-2.0
#include "sandbox/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include "base/os_error.h"
#include "base/unique_fd.h"
#include "sandbox/kernel.h"

namespace mlxguard::sandbox {
namespace {

Error sandbox_error(std::string_view doing) {
  Error error = os_error(doing);
  error.code = ErrorCode::kSandbox;
  return error;
}

using CapabilitySets = std::array<__user_cap_data_struct, 2>;

Result<CapabilitySets> read_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  CapabilitySets sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return sandbox_error("read capabilities");
  return sets;
}

bool any_capability(const CapabilitySets& sets) {
  for (const auto& half : sets) {
    if ((half.effective | half.permitted | half.inheritable) != 0) return true;
  }
  return false;
}

/// What an exec could give back. Needs CAP_SETPCAP; without it no_new_privs is what bounds exec.
Result<void> empty_bounding_set() {
  for (unsigned long capability = 0;; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;     // past the last that this kernel knows
    if (errno == EPERM) return {};  // an ordinary user
    return sandbox_error("empty the capability bounding set");
  }
  constexpr unsigned long kNoRootMagic =
      SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
      SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (::prctl(PR_SET_SECUREBITS, kNoRootMagic, 0, 0, 0) != 0) {
    return sandbox_error("set the secure bits");
  }
  return {};
}

/// True if the identity changed; false where there is none to change to.
Result<bool> become_nobody() {
  if (::geteuid() != 0) return false;
  constexpr unsigned kId = kernel::kNobody;
  // Refused where the namespace was made by an ordinary user, whose groups cannot be shed.
  if (::setgroups(0, nullptr) != 0 && errno != EPERM) return sandbox_error("clear the groups");
  const auto not_possible = [] { return errno == EINVAL || errno == EPERM; };
  if (::setresgid(kId, kId, kId) != 0) {
    if (not_possible()) return false;
    return sandbox_error("change the group");
  }
  if (::setresuid(kId, kId, kId) != 0) {
    if (not_possible()) return false;
    return sandbox_error("change the user");
  }
  return true;
}

/// The sets that an exec, or a thread, could take capabilities from.
Result<void> empty_inherited_sets() {
  MLXGUARD_TRY(empty_bounding_set());
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return sandbox_error("clear the ambient capabilities");
  }
  return {};
}

Result<void> empty_own_sets() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const CapabilitySets none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return sandbox_error("drop capabilities");
  MLXGUARD_TRY_ASSIGN(const CapabilitySets left, read_capabilities());
  if (any_capability(left)) {
    return make_error(ErrorCode::kSandbox, "capabilities are left after dropping them");
  }
  return {};
}

}  // namespace

Result<void> require_single_thread() {
  // The system call itself: the worker defines an open() of its own for a library's sake.
  const UniqueFd file(
      static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC)));
  if (!file.is_open()) return sandbox_error("open /proc/self/status");
  std::string text(8192, '\0');
  const ssize_t count = ::read(file.get(), text.data(), text.size());
  if (count <= 0) return sandbox_error("read /proc/self/status");
  text.resize(static_cast<std::size_t>(count));
  constexpr std::string_view kKey = "\nThreads:\t";
  const std::size_t at = text.find(kKey);
  if (at == std::string::npos) {
    return make_error(ErrorCode::kSandbox, "/proc/self/status does not tell the threads");
  }
  const std::size_t begin = at + kKey.size();
  const std::string threads = text.substr(begin, text.find('\n', begin) - begin);
  if (threads == "1") return {};
  return make_error(ErrorCode::kSandboxThreads,
                    "expected one thread before the lock, found " + threads);
}

Result<void> drop_capabilities(IsolationReport& report) {
  MLXGUARD_TRY(empty_inherited_sets());
  MLXGUARD_TRY(empty_own_sets());
  report.add_active(Mechanism::kNoCapabilities);
  return {};
}

Result<void> drop_identity_and_capabilities(IsolationReport& report) {
  MLXGUARD_TRY(empty_inherited_sets());
  MLXGUARD_TRY_ASSIGN(const bool changed, become_nobody());
  MLXGUARD_TRY(empty_own_sets());
  if (changed && ::setresuid(0, 0, 0) == 0) {
    return make_error(ErrorCode::kSandbox, "the dropped identity could be taken back");
  }
  report.add_active(Mechanism::kNoCapabilities);
  if (changed) {
    report.add_active(Mechanism::kOtherIdentity, "uid " + std::to_string(kernel::kNobody));
  } else {
    report.add_unavailable(Mechanism::kOtherIdentity,
                           "started by an ordinary user, or without "
                           "the capability to change users");
  }
  return {};
}

Result<void> set_no_new_privileges(IsolationReport& report) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return sandbox_error("set no_new_privs");
  report.add_active(Mechanism::kNoNewPrivileges);
  return {};
}

Result<void> refuse_dumps_and_tracers(IsolationReport& report) {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sandbox_error("refuse core dumps");
  report.add_active(Mechanism::kNotDumpable);
  return {};
}

Result<void> die_with_parent(IsolationReport& report, int control_fd) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
    return sandbox_error("set the parent-death signal");
  }
  // A parent that died before the line above sends no signal any more; its socket shows it.
  pollfd control{control_fd, 0, 0};
  if (::poll(&control, 1, 0) < 0) return sandbox_error("poll the control socket");
  if ((control.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
    return make_error(ErrorCode::kSandbox, "the parent is gone: its control socket is closed");
  }
  report.add_active(Mechanism::kDieWithParent);
  return {};
}

bool executable_memory_switch_available() { return ::prctl(kernel::kPrGetMdwe, 0, 0, 0, 0) >= 0; }

Result<void> refuse_new_executable_memory(IsolationReport& report) {
  if (!executable_memory_switch_available()) {
    report.add_unavailable(Mechanism::kNoNewExecutableMemory,
                           "needs Linux 6.3; seccomp refuses it");
    return {};
  }
  if (::prctl(kernel::kPrSetMdwe, kernel::kPrMdweRefuseExecGain, 0, 0, 0) != 0) {
    return sandbox_error("refuse new executable memory");
  }
  report.add_active(Mechanism::kNoNewExecutableMemory);
  return {};
}

}  // namespace mlxguard::sandbox
