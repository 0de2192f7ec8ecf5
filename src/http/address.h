// SPDX-License-Identifier: Apache-2.0
// Where a server listens, as an operator writes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mlxguard::http {

/// Who can connect to a listening socket.
enum class Reach : std::uint8_t { kThisMachine, kNetwork };

/// One of: an address and port, the path of a Unix socket, an inherited descriptor.
struct ListenAddress {
  std::string host;  ///< literal IPv4 or IPv6 address, without brackets
  std::uint16_t port = 0;
  bool loopback = false;  ///< also of a Unix socket; not known yet of an inherited descriptor
  std::string unix_path;
  std::optional<int> inherited_fd;
};
/// "127.0.0.1:8443", "[::1]:8443", "localhost:8443", "unix:/run/mlxguard.sock", "fd://3".
/// Errors: kConfig.
[[nodiscard]] Result<ListenAddress> parse_listen(std::string_view text);

}  // namespace mlxguard::http
