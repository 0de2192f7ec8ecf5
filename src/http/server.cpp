// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "http/connection.h"
#include "http/format.h"
#include "http/server_state.h"

namespace mlxguard::http {
namespace {

using async::kAwait;

constexpr std::chrono::milliseconds kSweepInterval{50};
/// Connections over the bound that are told so before they are closed; further ones are just
/// closed.
constexpr std::size_t kTurnedAwayMax = 64;

int option_of(int socket, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

}  // namespace

ServerState::ServerState(async::Io& io, ServerOptions options, Handler& handler,
                         std::optional<TlsContext> tls)
    : io_(io),
      options_(options),
      handler_(handler),
      tls_(std::move(tls)),
      sweep_timer_(io.get_executor()) {
  asio::co_spawn(executor(), sweep(), asio::detached);
}

Result<void> ServerState::listen(UniqueFd listening_socket) {
  const int fd = listening_socket.get();
  const int family = option_of(fd, SO_DOMAIN);
  if (option_of(fd, SO_ACCEPTCONN) != 1 || option_of(fd, SO_TYPE) != SOCK_STREAM ||
      (family != AF_INET && family != AF_INET6 && family != AF_UNIX)) {
    return make_error(ErrorCode::kListen, "expected a listening stream socket");
  }
  auto acceptor = std::make_shared<Acceptor>(executor());
  boost::system::error_code error;
  acceptor->assign(asio::generic::stream_protocol(family, 0), fd, error);
  if (error) return make_error(ErrorCode::kListen, "the listening socket cannot be used");
  (void)listening_socket.release();  // the acceptor owns it now
  acceptors_.push_back(acceptor);
  asio::co_spawn(executor(), accept(std::move(acceptor)), asio::detached);
  return {};
}

Task<void> ServerState::accept(std::shared_ptr<Acceptor> acceptor) {
  Timer pause(executor());
  while (!draining_) {
    auto [error, socket] = co_await acceptor->async_accept(kAwait);
    if (draining_) co_return;
    if (error) {
      // Out of descriptors or memory: connections wait in the kernel until there is room again.
      pause.expires_after(kSweepInterval);
      co_await pause.async_wait(kAwait);
      continue;
    }
    admit(std::move(socket));
  }
}

void ServerState::admit(Socket socket) {
  if (connections_.size() >= options_.connections_max + kTurnedAwayMax) return;  // closes it
  const Welcome welcome =
      connections_.size() < options_.connections_max ? Welcome::kServe : Welcome::kTurnAway;
  Client client = client_of(socket.native_handle());
  client.is_tls = tls_.has_value();
  if (!client.unix_peer) {
    const int on = 1;  // answers are written whole: waiting for more would only delay them
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  auto connection = std::make_shared<Connection>(
      make_stream(std::move(socket), tls_ ? &*tls_ : nullptr), *this, std::move(client));
  asio::co_spawn(
      executor(), [connection, welcome] { return connection->run(welcome); }, asio::detached);
}

bool ServerState::hold(std::uint64_t bytes) {
  if (bytes > options_.held_bytes_max - std::min(options_.held_bytes_max, held_bytes_))
    return false;
  held_bytes_ += bytes;
  return true;
}

Task<void> ServerState::sweep() {
  for (;;) {
    sweep_timer_.expires_after(kSweepInterval);
    const auto [error] = co_await sweep_timer_.async_wait(kAwait);
    if (error) co_return;
    const SteadyTime now = std::chrono::steady_clock::now();
    for (Connected* connection : connections_) {
      if (connection->deadline() <= now) connection->expire();
    }
  }
}

void ServerState::leave(Connected& connection) {
  connections_.erase(&connection);
  if (draining_ && connections_.empty() && drained_) std::exchange(drained_, nullptr)();
}

void ServerState::drain(std::function<void()> done) {
  if (draining_) return;
  draining_ = true;
  drained_ = std::move(done);
  for (const auto& acceptor : acceptors_) {
    boost::system::error_code ignored;
    acceptor->close(ignored);
  }
  for (Connected* connection : connections_) connection->drain();
  if (connections_.empty() && drained_) std::exchange(drained_, nullptr)();
}

std::string_view ServerState::date() {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (date_.empty() || now != date_of_) {
    date_of_ = now;
    date_ = http_date(now);
  }
  return date_;
}

Server::Server(async::Io& io, ServerOptions options, Handler& handler,
               std::optional<TlsContext> tls)
    : state_(std::make_unique<ServerState>(io, options, handler, std::move(tls))) {}
Server::~Server() = default;

Result<void> Server::listen(UniqueFd listening_socket) {
  return state_->listen(std::move(listening_socket));
}

void Server::drain(std::function<void()> done) { state_->drain(std::move(done)); }

}  // namespace mlxguard::http
