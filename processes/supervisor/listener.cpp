// SPDX-License-Identifier: Apache-2.0
#include "listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "base/os_error.h"

namespace mlxguard::supervisor {
namespace {

constexpr int kBacklog = 1024;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress to_socket_address(const config::ListenAddress& address) {
  SocketAddress out;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(address.port);
  if (::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    std::memcpy(&out.storage, &v4, sizeof(v4));
    out.size = sizeof(v4);
    return out;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(address.port);
  MLXGUARD_CHECK(::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1);
  std::memcpy(&out.storage, &v6, sizeof(v6));
  out.size = sizeof(v6);
  return out;
}

Error cannot_listen(const config::ListenAddress& address) {
  Error error = os_error("listen on", address.host + ":" + std::to_string(address.port));
  error.code = ErrorCode::kListen;
  error.hint = "another program may use the port; choose one with --listen ADDRESS:PORT";
  return error;
}

}  // namespace

Result<Listener> listen_on(const config::ListenAddress& address) {
  SocketAddress wanted = to_socket_address(address);
  Listener listener;
  listener.socket = UniqueFd(
      ::socket(wanted.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!listener.socket.is_open()) return cannot_listen(address);
  const int on = 1;
  ::setsockopt(listener.socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  auto* raw = reinterpret_cast<sockaddr*>(&wanted.storage);
  if (::bind(listener.socket.get(), raw, wanted.size) != 0 ||
      ::listen(listener.socket.get(), kBacklog) != 0 ||
      ::getsockname(listener.socket.get(), raw, &wanted.size) != 0) {
    return cannot_listen(address);
  }
  listener.port = ntohs(wanted.storage.ss_family == AF_INET
                            ? reinterpret_cast<sockaddr_in*>(&wanted.storage)->sin_port
                            : reinterpret_cast<sockaddr_in6*>(&wanted.storage)->sin6_port);
  return listener;
}

}  // namespace mlxguard::supervisor
