// SPDX-License-Identifier: Apache-2.0
// Connections: accepted within a bound, read within bounds of bytes and time, answered one request
// after another. Each connection is a coroutine; one sweep closes those past their deadline. Input:
// bytes from the network. Whatever they are, a connection holds at most one head, one body and one
// response, and ends by its deadline.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "base/unique_fd.h"
#include "http_parser.h"
#include "net.h"
#include "request_line.h"
#include "tls.h"

namespace mlxguard::gateway {

struct HttpServerOptions {
  HttpLimits limits;
  std::size_t connections_max = 1024;
  std::uint64_t held_bytes_max = 256u << 20;  ///< bodies of all connections together
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds request_timeout{60'000};
};

/// What the server needs of a connection, whether it is encrypted or not.
class Connected {
 public:
  virtual ~Connected() = default;
  [[nodiscard]] virtual SteadyTime deadline() const = 0;
  /// The deadline passed: whatever the connection waits for ends now.
  virtual void expire() = 0;
  /// The server stops: a connection between two requests closes, others after their response.
  virtual void drain() = 0;
};

class HttpServer {
 public:
  HttpServer(Io& io, HttpServerOptions options, RequestLine& line, std::optional<TlsContext> tls);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Serves a listening socket that the supervisor made. Errors: kListen.
  [[nodiscard]] Result<void> listen(UniqueFd listening_socket);
  /// Stops accepting, lets every request in progress end, then calls `done`.
  void drain(std::function<void()> done);

  // For connections.
  [[nodiscard]] const HttpServerOptions& options() const { return options_; }
  [[nodiscard]] RequestLine& line() { return line_; }
  [[nodiscard]] bool draining() const { return draining_; }
  [[nodiscard]] bool hold(std::uint64_t bytes);
  void let_go(std::uint64_t bytes) { held_bytes_ -= bytes; }
  void enter(Connected& connection) { connections_.insert(&connection); }
  void leave(Connected& connection);

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

  Task<void> accept(std::shared_ptr<Acceptor> acceptor);
  Task<void> sweep();
  void admit(asio::basic_stream_socket<asio::ip::tcp, Executor> socket);

  Io& io_;
  HttpServerOptions options_;
  RequestLine& line_;
  std::optional<TlsContext> tls_;
  std::vector<std::shared_ptr<Acceptor>> acceptors_;
  std::unordered_set<Connected*> connections_;
  std::uint64_t held_bytes_ = 0;
  Timer sweep_timer_;
  bool draining_ = false;
  std::function<void()> drained_;
};

}  // namespace mlxguard::gateway
