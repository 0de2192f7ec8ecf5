// SPDX-License-Identifier: Apache-2.0
#include "http/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <string_view>
#include <vector>

#include "base/copy_step.h"

namespace mlxguard::http {
namespace {

using async::kAwait;
using TlsStream = asio::ssl::stream<Socket>;
using BoostError = boost::system::error_code;

Socket& socket_of(Socket& stream) { return stream; }
Socket& socket_of(TlsStream& stream) { return stream.next_layer(); }
const Socket& socket_of(const Socket& stream) { return stream; }
const Socket& socket_of(const TlsStream& stream) { return stream.next_layer(); }

ReadOutcome outcome_of(const BoostError& error, std::size_t bytes) {
  if (!error) return {bytes, ReadEnd::kNone};
  // A TLS client that closes without saying so first is common; it can do no more than an honest
  // end, since every request announces where it ends.
  const bool finished =
      error == asio::error::eof || error == asio::ssl::error::stream_truncated;
  return {0, finished ? ReadEnd::kFinished : ReadEnd::kBroken};
}

template <class Layer>
class StreamOver final : public Stream {
 public:
  static constexpr bool kIsTls = std::is_same_v<Layer, TlsStream>;

  explicit StreamOver(Layer layer) : layer_(std::move(layer)) {}

  Task<bool> handshake() override {
    if constexpr (kIsTls) {
      const auto [error] = co_await layer_.async_handshake(TlsStream::server, kAwait);
      co_return !error;
    } else {
      co_return true;
    }
  }

  bool is_http2() const override {
    if constexpr (kIsTls) {
      const unsigned char* name = nullptr;
      unsigned size = 0;
      SSL_get0_alpn_selected(const_cast<Layer&>(layer_).native_handle(), &name, &size);
      return std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
    } else {
      return false;
    }
  }

  Task<ReadOutcome> read_some(std::span<char> into) override {
    const auto [error, bytes] =
        co_await layer_.async_read_some(asio::buffer(into.data(), into.size()), kAwait);
    co_return outcome_of(error, bytes);
  }

  void start_read(std::span<char> into, std::shared_ptr<ReadSink> sink) override {
    layer_.async_read_some(
        asio::buffer(into.data(), into.size()),
        [sink = std::move(sink)](const BoostError& error, std::size_t bytes) {
          sink->on_read(outcome_of(error, bytes));
        });
  }

  Task<bool> write(Pieces pieces) override {
    const auto [error, bytes] = co_await asio::async_write(layer_, pieces, kAwait);
    co_return !error;
  }

  Task<std::size_t> send_file(int fd, std::uint64_t offset, std::size_t length) override {
    if constexpr (kIsTls) {
      co_return co_await copy_file(fd, offset, length);
    } else {
      BoostError error;
      layer_.native_non_blocking(true, error);
      while (!error) {
        auto position = static_cast<off_t>(offset);
        const ssize_t count = ::sendfile(layer_.native_handle(), fd, &position, length);
        if (count >= 0) co_return static_cast<std::size_t>(count);
        if (errno == EINTR) continue;
        if (errno != EAGAIN) break;
        std::tie(error) = co_await layer_.async_wait(Socket::wait_write, kAwait);
      }
      co_return 0;
    }
  }

  Task<void> linger(std::span<char> scratch, std::size_t bytes_max) override {
    if constexpr (kIsTls) {
      // Says that nothing follows, without waiting for the client to say the same.
      co_await layer_.async_shutdown(kAwait);
    }
    BoostError ignored;
    Socket& socket = socket_of(layer_);
    socket.shutdown(Socket::shutdown_send, ignored);
    for (std::size_t dropped = 0; dropped < bytes_max;) {
      const auto [error, bytes] =
          co_await socket.async_read_some(asio::buffer(scratch.data(), scratch.size()), kAwait);
      if (error) co_return;
      dropped += bytes;
    }
  }

  Task<bool> wait_until_broken() override {
    while (!is_broken()) {
      const auto [error] = co_await socket_of(layer_).async_wait(Socket::wait_error, kAwait);
      if (error) co_return false;
    }
    co_return true;
  }

  bool is_broken() const override {
    pollfd entry{const_cast<Socket&>(socket_of(layer_)).native_handle(), 0, 0};
    return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLERR | POLLHUP)) != 0;
  }

  void cancel() override {
    BoostError ignored;
    socket_of(layer_).cancel(ignored);
  }
  void close() override {
    BoostError ignored;
    socket_of(layer_).close(ignored);
  }
  void reset() override {
    BoostError ignored;
    socket_of(layer_).set_option(asio::socket_base::linger(true, 0), ignored);
    socket_of(layer_).close(ignored);
  }

 private:
  Task<std::size_t> copy_file(int fd, std::uint64_t offset, std::size_t length) {
    std::vector<char> buffer(std::min<std::size_t>(length, kCopyStepBytes));
    const ssize_t count = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (count <= 0) co_return 0;
    const auto size = static_cast<std::size_t>(count);
    const bool sent = co_await write(pieces_of({buffer.data(), size}));
    co_return sent ? size : 0;
  }

  Layer layer_;
};

}  // namespace

std::unique_ptr<Stream> make_stream(Socket socket, TlsContext* tls) {
  if (tls == nullptr) return std::make_unique<StreamOver<Socket>>(std::move(socket));
  return std::make_unique<StreamOver<TlsStream>>(TlsStream(std::move(socket), tls->get()));
}

Client client_of(int socket) {
  Client client;
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return client;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    client.address = ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    client.port = ntohs(v4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    client.address = ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    client.port = ntohs(v6.sin6_port);
  } else if (storage.ss_family == AF_UNIX) {
    ucred peer{};
    socklen_t peer_size = sizeof(peer);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0) {
      client.unix_peer = Client::Credentials{peer.uid, peer.gid, peer.pid};
    }
  }
  return client;
}

}  // namespace mlxguard::http
