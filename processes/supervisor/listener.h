// SPDX-License-Identifier: Apache-2.0
// Listening sockets, made by the supervisor and handed to the gateway: the gateway never needs the
// right to bind, and connections wait in the kernel while it is restarted.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"
#include "config/config.h"

namespace mlxguard::supervisor {

struct Listener {
  UniqueFd socket;  ///< listening, non-blocking
  std::uint16_t port = 0;
};

/// Errors: kListen (address in use, not local, port not allowed).
[[nodiscard]] Result<Listener> listen_on(const config::ListenAddress& address);

}  // namespace mlxguard::supervisor
