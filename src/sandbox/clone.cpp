// SPDX-License-Identifier: Apache-2.0
#include "sandbox/clone.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "base/os_error.h"

namespace mlxguard::sandbox {

Result<Pipe> make_pipe(PipeMode mode) {
  int ends[2] = {-1, -1};
  const int flags = O_CLOEXEC | (mode == PipeMode::kNonBlocking ? O_NONBLOCK : 0);
  if (::pipe2(ends, flags) != 0) return os_error("create a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<Cloned> clone_process(unsigned long namespace_flags) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  // The older call, since containers answer ENOSYS to clone3, whose flags they cannot filter. Its
  // first three arguments are in the same order everywhere; the rest is zero. No stack: a copy, as
  // by fork.
  int pidfd = -1;
  const long pid = ::syscall(SYS_clone, namespace_flags | CLONE_PIDFD | SIGCHLD, nullptr, &pidfd,
                             nullptr, nullptr);
  const int error_number = errno;
  if (pid == 0) return Cloned{0, UniqueFd()};
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return os_error("clone", "", error_number);
  return Cloned{static_cast<pid_t>(pid), UniqueFd(pidfd)};
}

}  // namespace mlxguard::sandbox
