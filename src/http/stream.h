// SPDX-License-Identifier: Apache-2.0
// Stream: the bytes of one accepted connection, over TCP or a Unix socket, with or without TLS,
// behind one interface, so that the sessions are compiled once and see no Asio socket. Internal to
// this library.
#pragma once

#include <array>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "async/task.h"
#include "http/message.h"
#include "http/tls.h"

namespace mlxguard::http {

namespace asio = boost::asio;
using async::Executor;
using async::Task;

using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, Executor>;
/// Pieces that are sent one after another.
using Pieces = std::array<asio::const_buffer, 3>;

[[nodiscard]] inline Pieces pieces_of(std::string_view first, std::string_view second = {},
                                      std::string_view third = {}) {
  const auto piece = [](std::string_view text) {
    return asio::const_buffer(text.data(), text.size());
  };
  return {piece(first), piece(second), piece(third)};
}

enum class ReadEnd : std::uint8_t {
  kNone,    ///< bytes came
  kFinished,  ///< the client sends nothing more; it may still read
  kBroken,    ///< the connection is lost, or the read was cancelled
};

struct ReadOutcome {
  std::size_t bytes = 0;
  ReadEnd end = ReadEnd::kNone;
};

/// Told of a read that nobody awaits.
class ReadSink {
 public:
  virtual ~ReadSink() = default;
  virtual void on_read(ReadOutcome outcome) = 0;
};

/// At most one read and one write at a time. cancel() and close() end all that waits.
class Stream {
 public:
  virtual ~Stream() = default;

  [[nodiscard]] virtual Task<bool> handshake() = 0;
  /// Whether the client and the server agreed on HTTP/2 in the handshake.
  [[nodiscard]] virtual bool is_http2() const = 0;
  [[nodiscard]] virtual Task<ReadOutcome> read_some(std::span<char> into) = 0;
  /// As read_some, for a reader that does other things meanwhile. Keeps `sink` alive until then.
  virtual void start_read(std::span<char> into, std::shared_ptr<ReadSink> sink) = 0;
  /// True if all was handed to the kernel.
  [[nodiscard]] virtual Task<bool> write(Pieces pieces) = 0;
  /// Sends at most `length` bytes of a file and moves `offset`; the bytes sent, 0 if the file ends
  /// or the connection broke.
  [[nodiscard]] virtual Task<std::size_t> send_file(int fd, std::uint64_t offset,
                                                    std::size_t length) = 0;
  /// Says that nothing follows, then reads and drops what the client still sends, until it ends or
  /// `bytes_max` came.
  [[nodiscard]] virtual Task<void> linger(std::span<char> scratch, std::size_t bytes_max) = 0;
  /// Returns when the connection breaks; false if it was cancelled before that.
  [[nodiscard]] virtual Task<bool> wait_until_broken() = 0;
  /// Whether the kernel knows that both directions are closed, or that the connection was reset.
  [[nodiscard]] virtual bool is_broken() const = 0;

  virtual void cancel() = 0;
  virtual void close() = 0;
  /// Closes with a reset, so that the client cannot take a cut-off answer for a whole one.
  virtual void reset() = 0;
};

[[nodiscard]] std::unique_ptr<Stream> make_stream(Socket socket, TlsContext* tls);

/// Who is at the other end of a connected socket.
[[nodiscard]] Client client_of(int socket);

}  // namespace mlxguard::http
