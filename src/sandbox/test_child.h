// SPDX-License-Identifier: Apache-2.0
// For the tests of this folder: a lock holds for good, so each is tried in a child of its own.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace mlxguard::sandbox {

/// What an attack in a child returns where the lock itself could not be put in place.
inline constexpr int kLockFailed = 200;

/// Runs `attack` in a child; its return value, or 1000 + the signal that ended it.
template <class Attack>
int in_child(Attack attack) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(attack());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

inline int errno_of(long result) { return result < 0 ? errno : 0; }

// A sanitizer's runtime makes calls of its own, which policies as tight as these do not name.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
// ThreadSanitizer's runtime has a thread of its own in every process.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kNeverAlone = true;
#else
inline constexpr bool kNeverAlone = false;
#endif

}  // namespace mlxguard::sandbox
