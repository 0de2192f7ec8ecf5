// SPDX-License-Identifier: Apache-2.0
// Connections of installers: accepted within a bound, heads read within bounds of bytes and time,
// no bodies taken, files sent by the kernel from the cache. Input: bytes from the network.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_set>

#include "base/unique_fd.h"
#include "exchange.h"
#include "flights.h"
#include "net.h"

namespace mlxguard::mirror {

/// Answers requests; Mirror is the one.
class Handler {
 public:
  virtual ~Handler() = default;
  [[nodiscard]] virtual Task<Answer> answer(const Request& request, Patience& patience) = 0;
};

struct HttpServerOptions {
  std::size_t connections_max = 512;
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds write_timeout{60'000};  ///< for each stretch of an answer
};

/// What the server needs of a connection, whether it is encrypted or not.
class Connected {
 public:
  virtual ~Connected() = default;
  [[nodiscard]] virtual SteadyTime deadline() const = 0;
  virtual void expire() = 0;
  virtual void drain() = 0;
};

class HttpServer {
 public:
  HttpServer(asio::io_context& io, HttpServerOptions options, Handler& handler,
             std::shared_ptr<asio::ssl::context> tls);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Errors: kListen.
  [[nodiscard]] Result<void> listen(UniqueFd listening_socket);
  /// Stops accepting, lets requests in progress end, then calls `done`.
  void drain(std::function<void()> done);

  // For connections.
  [[nodiscard]] const HttpServerOptions& options() const { return options_; }
  [[nodiscard]] Handler& handler() { return handler_; }
  [[nodiscard]] bool draining() const { return draining_; }
  void enter(Connected& connection) { connections_.insert(&connection); }
  void leave(Connected& connection);

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

  Task<void> accept();
  Task<void> sweep();
  void admit(asio::basic_stream_socket<asio::ip::tcp, Executor> socket);

  asio::io_context& io_;
  HttpServerOptions options_;
  Handler& handler_;
  std::shared_ptr<asio::ssl::context> tls_;
  Acceptor acceptor_;
  std::unordered_set<Connected*> connections_;
  Timer sweep_timer_;
  bool draining_ = false;
  std::function<void()> drained_;
};

}  // namespace mlxguard::mirror
