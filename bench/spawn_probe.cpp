// SPDX-License-Identifier: Apache-2.0
// A program that links what a worker links (libmlx, OpenBLAS) and says "ready" on descriptor 3.
// Built twice: with the worker's lock before that, and without, as the peer that spawn_bench
// measures against.
#include <sys/socket.h>

#include <cstdio>

#if defined(MLXGUARD_PROBE_LOCKED)
#include "worker_sandbox.h"
#endif

int main() {
#if defined(MLXGUARD_PROBE_LOCKED)
  const auto locked = mlxguard::worker::lock_this_worker({});
  if (!locked) {
    std::fprintf(stderr, "spawn_probe: %s\n", locked.error().message.c_str());
    return 1;
  }
#endif
  char ready = 'r';
  iovec bytes{&ready, 1};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  return ::sendmsg(3, &message, 0) == 1 ? 0 : 1;
}
