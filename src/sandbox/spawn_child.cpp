// SPDX-License-Identifier: Apache-2.0
#include "sandbox/spawn_child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "sandbox/kernel.h"

namespace mlxguard::sandbox {
namespace {

constexpr int kFirstGiven = 3;

[[noreturn]] void fail(int status_fd, ChildStep step) noexcept {
  const ChildFailure failure{step, errno};
  // If the parent cannot be told it is gone, and there is nobody to tell.
  [[maybe_unused]] const ssize_t written = ::write(status_fd, &failure, sizeof(failure));
  ::_exit(127);
}

bool wait_for_go(const ChildOrders& orders) noexcept {
  // Only the parent may hold the writing end, so that its death ends the wait.
  ::close(orders.go_write);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return false;
  char go = 0;
  ssize_t count = 0;
  do {
    count = ::read(orders.go_read, &go, 1);
  } while (count < 0 && errno == EINTR);
  return count == 1;
}

bool reset_signals() noexcept {
  // The kernel's own form of the structure: all zero is SIG_DFL with no flags. By the raw call,
  // since the library refuses its own two signals (32 and 33), which a parent may well have
  // ignored; the kernel refuses SIGKILL and SIGSTOP only, which nobody can have changed.
  const struct KernelAction {
    std::uintptr_t handler, flags, restorer, mask;
  } plain{};
  for (int number = 1; number < NSIG; ++number) {
    ::syscall(SYS_rt_sigaction, number, &plain, nullptr, sizeof(plain.mask));
  }
  sigset_t none;
  ::sigemptyset(&none);
  return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

/// Marks every descriptor from `first` on to be closed by exec.
bool close_rest_at_exec(unsigned first) noexcept {
  if (::syscall(SYS_close_range, first, ~0u, kernel::kCloseRangeCloexec) == 0) return true;
  if (errno != ENOSYS && errno != EINVAL && errno != EPERM) return false;
  rlimit open_files{};
  if (::getrlimit(RLIMIT_NOFILE, &open_files) != 0) return false;
  for (rlim_t fd = first; fd < open_files.rlim_max; ++fd) {
    if (::fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC) != 0 && errno != EBADF) return false;
  }
  return true;
}

/// 0 = input, 1 and 2 = output, 3... = the given ones, and nothing else after exec.
/// The sources are first moved above all targets, so that no dup2 overwrites one still needed.
bool arrange_descriptors(ChildOrders& orders) noexcept {
  const int above = kFirstGiven + static_cast<int>(orders.descriptors.size());
  const auto move_up = [above](int fd) { return ::fcntl(fd, F_DUPFD_CLOEXEC, above); };
  orders.input = move_up(orders.input);
  orders.output = move_up(orders.output);
  orders.binary_fd = move_up(orders.binary_fd);
  orders.status_write = move_up(orders.status_write);
  if (orders.input < 0 || orders.output < 0 || orders.binary_fd < 0) return false;
  for (std::size_t i = 0; i < orders.descriptors.size(); ++i) {
    orders.moved[i] = move_up(orders.descriptors[i]);
    if (orders.moved[i] < 0) return false;
  }
  if (::dup2(orders.input, 0) < 0 || ::dup2(orders.output, 1) < 0 ||
      ::dup2(orders.output, 2) < 0) {
    return false;
  }
  for (std::size_t i = 0; i < orders.moved.size(); ++i) {
    if (::dup2(orders.moved[i], kFirstGiven + static_cast<int>(i)) < 0) return false;
  }
  return close_rest_at_exec(static_cast<unsigned>(above));
}

}  // namespace

void run_child(const ChildOrders& given) noexcept {
  ChildOrders orders = given;
  const int status = orders.status_write;
  if (!wait_for_go(orders)) fail(status, ChildStep::kParentGone);
  if (!reset_signals()) fail(status, ChildStep::kSignals);
  if (::setsid() < 0) fail(status, ChildStep::kSession);
  if (!arrange_descriptors(orders) || orders.status_write < 0) {
    fail(orders.status_write >= 0 ? orders.status_write : status, ChildStep::kDescriptors);
  }
  for (const Rlimit& limit : orders.rlimits) {
    errno = apply_rlimit(limit);
    if (errno != 0) fail(orders.status_write, ChildStep::kRlimits);
  }
  ::syscall(SYS_execveat, orders.binary_fd, "", orders.arguments, orders.environment,
            AT_EMPTY_PATH);
  fail(orders.status_write, ChildStep::kExec);
}

}  // namespace mlxguard::sandbox
