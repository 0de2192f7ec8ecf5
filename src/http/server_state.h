// SPDX-License-Identifier: Apache-2.0
// What the connections of one server share: options, handler, the budget for bodies, deadlines.
// Internal to this library.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "http/server.h"
#include "http/stream.h"

namespace mlxguard::http {

using async::SteadyTime;
using async::Timer;

/// What the server needs of a connection, whichever protocol it speaks.
class Connected {
 public:
  virtual ~Connected() = default;
  [[nodiscard]] virtual SteadyTime deadline() const = 0;
  /// The deadline passed: whatever the connection waits for ends now.
  virtual void expire() = 0;
  /// The server stops: a connection between two requests closes, others after their answers.
  virtual void drain() = 0;
};

class ServerState {
 public:
  ServerState(async::Io& io, ServerOptions options, Handler& handler,
              std::optional<TlsContext> tls);

  [[nodiscard]] Result<void> listen(UniqueFd listening_socket);
  void drain(std::function<void()> done);

  // For connections.
  [[nodiscard]] Executor executor() const { return io_.get_executor(); }
  [[nodiscard]] const ServerOptions& options() const { return options_; }
  [[nodiscard]] Handler& handler() { return handler_; }
  [[nodiscard]] bool is_draining() const { return draining_; }
  /// Takes a share of the budget for bodies; false, and nothing is taken, if too little is left.
  [[nodiscard]] bool hold(std::uint64_t bytes);
  void let_go(std::uint64_t bytes) { held_bytes_ -= bytes; }
  void enter(Connected& connection) { connections_.insert(&connection); }
  void leave(Connected& connection);
  /// The time as RFC 9110, 5.6.7 writes it. Valid until the next call.
  [[nodiscard]] std::string_view date();

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol, Executor>;

  [[nodiscard]] Task<void> accept(std::shared_ptr<Acceptor> acceptor);
  [[nodiscard]] Task<void> sweep();
  void admit(Socket socket);

  async::Io& io_;
  ServerOptions options_;
  Handler& handler_;
  std::optional<TlsContext> tls_;
  std::vector<std::shared_ptr<Acceptor>> acceptors_;
  std::unordered_set<Connected*> connections_;
  std::uint64_t held_bytes_ = 0;
  Timer sweep_timer_;
  bool draining_ = false;
  std::function<void()> drained_;
  std::chrono::sys_seconds date_of_;
  std::string date_;
};

}  // namespace mlxguard::http
