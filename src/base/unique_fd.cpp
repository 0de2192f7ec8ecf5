// SPDX-License-Identifier: Apache-2.0
#include "base/unique_fd.h"

#include <unistd.h>

#include <cerrno>

namespace mlxguard {

void UniqueFd::reset() noexcept {
  if (fd_ < 0) return;
  // close() is not retried on EINTR: on Linux the descriptor is gone either way. errno is kept so
  // that a destructor on an error path does not change what the caller reports.
  const int saved = errno;
  ::close(std::exchange(fd_, -1));
  errno = saved;
}

}  // namespace mlxguard
