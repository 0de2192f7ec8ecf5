// SPDX-License-Identifier: Apache-2.0
// Server: accepts connections within a bound, reads requests within bounds of bytes and time, and
// asks its Handler for the answers. Input: bytes from the network. Whatever they are, a connection
// holds at most one head, one body and what one answer needs for each of its requests in progress,
// and ends by its deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "async/task.h"
#include "base/unique_fd.h"
#include "http/exchange.h"
#include "http/parser.h"
#include "http/tls.h"

namespace mlxguard::http {

struct ServerOptions {
  RequestLimits limits;
  std::size_t connections_max = 1024;
  std::uint64_t held_bytes_max = 256u << 20;         ///< bodies of all connections together
  std::chrono::milliseconds header_timeout{10'000};  ///< from the first byte, and the handshake
  std::chrono::milliseconds idle_timeout{60'000};    ///< between two requests
  /// For a whole body. Besides, it must come with at least 1 KiB a second after header_timeout.
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds write_timeout{60'000};  ///< for each stretch of 256 KiB of an answer
};

class ServerState;

class Server {
 public:
  /// `handler` must outlive the server.
  Server(async::Io& io, ServerOptions options, Handler& handler, std::optional<TlsContext> tls);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Serves a listening stream socket, TCP or Unix (http/listener.h makes them). Errors: kListen.
  [[nodiscard]] Result<void> listen(UniqueFd listening_socket);
  /// Stops accepting, lets every request in progress end, closes idle connections, then calls
  /// `done`, perhaps at once. Only the first call counts.
  void drain(std::function<void()> done);

 private:
  std::unique_ptr<ServerState> state_;
};

}  // namespace mlxguard::http
