// SPDX-License-Identifier: Apache-2.0
#include "http/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/os_error.h"

namespace mlxguard::http {
namespace {

constexpr int kBacklog = 1024;
constexpr mode_t kNoRightsForOthers = 0660;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
};

Error cannot_listen(const std::string& what, const char* hint) {
  Error error = os_error("listen on", what);
  error.code = ErrorCode::kListen;
  error.hint = hint;
  return error;
}

Error refuse_to_listen(std::string message, std::string hint) {
  return make_error(ErrorCode::kListen, std::move(message))
      .about("listen")
      .hinting(std::move(hint));
}

SocketAddress tcp_address(const http::ListenAddress& address) {
  SocketAddress out;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(address.port);
  if (::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    std::memcpy(&out.storage, &v4, out.size = sizeof(v4));
    return out;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(address.port);
  MLXGUARD_CHECK(::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1);
  std::memcpy(&out.storage, &v6, out.size = sizeof(v6));
  return out;
}

/// Fills in what the kernel says of a bound socket.
Result<Listener> described(UniqueFd socket) {
  SocketAddress bound;
  if (::getsockname(socket.get(), bound.raw(), &bound.size) != 0) {
    return cannot_listen("descriptor " + std::to_string(socket.get()), "expected a socket");
  }
  Listener listener;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (bound.storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(bound.storage);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    listener.where = std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
    if (ntohl(v4.sin_addr.s_addr) >> 24 == 127) listener.reach = http::Reach::kThisMachine;
  } else if (bound.storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(bound.storage);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    listener.where =
        "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
    if (IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr)) listener.reach = http::Reach::kThisMachine;
  } else if (bound.storage.ss_family == AF_UNIX) {
    const auto& local = reinterpret_cast<const sockaddr_un&>(bound.storage);
    const std::size_t length = bound.size - offsetof(sockaddr_un, sun_path);
    listener.where = "unix:" + std::string(local.sun_path, ::strnlen(local.sun_path, length));
    listener.reach = http::Reach::kThisMachine;
  } else {
    return refuse_to_listen("expected a TCP or Unix socket", "pass another socket");
  }
  listener.socket = std::move(socket);
  return listener;
}

Result<Listener> listen_tcp(const http::ListenAddress& address) {
  const char* hint = "another program may use the port; choose one with --listen ADDRESS:PORT";
  const std::string what = address.host + ":" + std::to_string(address.port);
  SocketAddress wanted = tcp_address(address);
  UniqueFd socket(
      ::socket(wanted.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!socket.is_open()) return cannot_listen(what, hint);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(socket.get(), wanted.raw(), wanted.size) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return cannot_listen(what, hint);
  }
  return described(std::move(socket));
}

/// Removes a socket to which nobody listens. A second server that starts at the same time may have
/// put its own socket there meanwhile: what is removed is moved aside first and looked at again.
Result<void> remove_stale_socket(const std::string& path, SocketAddress& address) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return {};  // bind says what else is wrong
  if (!S_ISSOCK(found.st_mode)) {
    return refuse_to_listen(path + " exists and is not a socket",
                            "remove it, or choose another path with --listen unix:PATH");
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), address.raw(), address.size) == 0 || errno != ECONNREFUSED) {
    return refuse_to_listen(path + " is in use by another program",
                            "stop that program, or choose another path with --listen unix:PATH");
  }
  const std::string aside = path + "." + std::to_string(::getpid());
  if (::rename(path.c_str(), aside.c_str()) != 0) {
    return cannot_listen(path, "remove the stale socket by hand");
  }
  struct stat moved {};
  if (::lstat(aside.c_str(), &moved) == 0 && moved.st_ino == found.st_ino) {
    ::unlink(aside.c_str());
    return {};
  }
  ::rename(aside.c_str(), path.c_str());
  return refuse_to_listen(path + " is in use by another program",
                          "stop that program, or choose another path with --listen unix:PATH");
}

Result<Listener> listen_unix(const std::string& path) {
  sockaddr_un local{};
  if (path.size() >= sizeof(local.sun_path)) {
    return refuse_to_listen("the path of a Unix socket has at most " +
                                std::to_string(sizeof(local.sun_path) - 1) + " bytes",
                            "choose a shorter path with --listen unix:PATH");
  }
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, path.data(), path.size());
  SocketAddress wanted;
  std::memcpy(&wanted.storage, &local, wanted.size = sizeof(local));
  MLXGUARD_TRY(remove_stale_socket(path, wanted));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Set before bind makes the file, so that there is no moment at which others have rights.
  if (!socket.is_open() || ::fchmod(socket.get(), kNoRightsForOthers) != 0 ||
      ::bind(socket.get(), wanted.raw(), wanted.size) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return cannot_listen(path, "the folder must exist, and this user must be able to write there");
  }
  return described(std::move(socket));
}

Result<Listener> take_inherited(int fd) {
  const std::string what = "descriptor " + std::to_string(fd);
  const auto option = [fd](int name) {
    int value = -1;
    socklen_t size = sizeof(value);
    return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  if (::fcntl(fd, F_GETFD) < 0) {
    return refuse_to_listen(what + " is not open",
                            "fd://N takes a socket from the program that starts this one, such "
                            "as systemd with a .socket unit");
  }
  if (option(SO_ACCEPTCONN) != 1 || option(SO_TYPE) != SOCK_STREAM) {
    return refuse_to_listen(what + " is not a listening stream socket",
                            "pass a TCP or Unix socket on which listen() was called");
  }
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
      ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) {
    return cannot_listen(what, "pass another socket");
  }
  return described(UniqueFd(fd));
}

}  // namespace

Result<Listener> listen_on(const http::ListenAddress& address) {
  if (!address.unix_path.empty()) return listen_unix(address.unix_path);
  if (address.inherited_fd) return take_inherited(*address.inherited_fd);
  return listen_tcp(address);
}

std::string url_of(const Listener& listener, Scheme scheme) {
  if (listener.where.starts_with("unix:")) return listener.where;
  return (scheme == Scheme::kHttps ? "https://" : "http://") + listener.where;
}

}  // namespace mlxguard::http
