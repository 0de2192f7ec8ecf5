// SPDX-License-Identifier: Apache-2.0
// Listening sockets for a Server: TCP, Unix sockets, and sockets that this process inherited. Made
// before a process locks itself, which then needs no right to bind.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/address.h"

namespace mlxguard::http {

struct Listener {
  UniqueFd socket;     ///< listening, non-blocking, closed on exec
  std::string where;   ///< "127.0.0.1:8443", "[::1]:8443" or "unix:/run/mlxguard.sock"
  Reach reach = Reach::kNetwork;
};

/// Makes or takes over the socket.
/// A Unix socket is made without rights for others, whatever the umask: the owner's and the group's
/// are left to the umask. What stands in its place already is removed only if it is a socket to
/// which nobody listens; a live socket or any other file is an error.
/// An inherited descriptor must be a listening stream socket; it belongs to the Listener then.
/// Errors: kListen, with a hint.
[[nodiscard]] Result<Listener> listen_on(const ListenAddress& address);

enum class Scheme : std::uint8_t { kHttp, kHttps };
/// "https://127.0.0.1:8443", or `where` of a Unix socket, whose path no URL can hold.
[[nodiscard]] std::string url_of(const Listener& listener, Scheme scheme);

}  // namespace mlxguard::http
