// SPDX-License-Identifier: Apache-2.0
// Reach another machine, or another process of this one.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "attack.h"

namespace mlxguard::attacks {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int tcp_listen(const Context&) {
  const sockaddr_in address = loopback(0);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return errno;
  return outcome_of(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

int udp_send(const Context&) {
  const sockaddr_in address = loopback(9);
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return errno;
  return outcome_of(
      ::sendto(fd, "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

/// The given control socket, turned against somebody else.
int connect_given_socket(const Context&) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "/run/nobody");
  return outcome_of(::connect(3, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

constexpr std::array kAttacks{
    Attack{"tcp_listen", tcp_listen},
    Attack{"udp_send", udp_send},
    Attack{"unix_socket",
           [](const Context&) { return outcome_of(::socket(AF_UNIX, SOCK_STREAM, 0)); }},
    Attack{"netlink_socket",
           [](const Context&) { return outcome_of(::socket(AF_NETLINK, SOCK_RAW, 0)); }},
    Attack{"connect_given_socket", connect_given_socket},
};

}  // namespace

std::span<const Attack> network_attacks() { return kAttacks; }

}  // namespace mlxguard::attacks
