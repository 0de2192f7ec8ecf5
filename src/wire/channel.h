// SPDX-License-Identifier: Apache-2.0
// Channel: one end of a SOCK_SEQPACKET pair between two of our processes. A message is one packet:
// a 16-byte header, then its fields. Fields beyond kIpcInlineBytesMax travel in a memfd sealed
// against any change, so the receiver reads bytes that the sender can no longer alter. What the
// messages mean is the business of those who use it. Input: whatever the peer sends; the peer may
// be compromised, so how much it may send at once is decided by the receiver.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/encoding.h"

namespace mlxguard::wire {

/// Tells messages of one channel apart. Each protocol numbers its own.
using MessageNumber = std::uint16_t;

/// What a receiver accepts in one message; anything more is a breach of the protocol. There is no
/// default: whoever makes a Channel knows who is at the other end.
struct ReceiveBounds {
  std::uint64_t message_bytes_max;  ///< at most limits::kIpcPayloadBytesMax counts
  std::size_t descriptors_max;      ///< at most limits::kIpcDescriptorsMax counts
};

/// A read-only view of a message's fields: copied, or mapped from a sealed memfd.
class Payload {
 public:
  Payload() = default;
  explicit Payload(std::vector<std::uint8_t> bytes) : inline_(std::move(bytes)) {}
  /// Checks every seal and the size, then maps. Errors: kWorkerSeals.
  [[nodiscard]] static Result<Payload> map(const UniqueFd& memory, std::size_t size);
  Payload(Payload&& other) noexcept;
  Payload& operator=(Payload&& other) noexcept;
  Payload(const Payload&) = delete;
  Payload& operator=(const Payload&) = delete;
  ~Payload();
  [[nodiscard]] Bytes bytes() const {
    return mapped_ != nullptr ? Bytes{mapped_, mapped_size_} : Bytes{inline_};
  }
  /// Overwrites copied fields that hold a secret. A mapped memfd is sealed, and gone when it is
  /// closed.
  void wipe() noexcept;

 private:
  std::vector<std::uint8_t> inline_;
  const std::uint8_t* mapped_ = nullptr;
  std::size_t mapped_size_ = 0;
};

struct Received {
  MessageNumber type = 0;
  Payload payload;
  std::vector<UniqueFd> descriptors;

  template <class M>
  [[nodiscard]] bool is() const {
    return type == static_cast<MessageNumber>(M::kType);
  }
  /// The message, if it is an `M` whose fields are all well-formed; else kWorkerProtocol.
  template <class M>
  [[nodiscard]] Result<M> as() const {
    MLXGUARD_TRY_ASSIGN(auto read, with_body<M>());
    if (read.second.empty()) return std::move(read.first);
    return make_error(ErrorCode::kWorkerProtocol, "message is longer than its fields");
  }
  /// The same for a message that was packed with a body. The body lives as long as `payload`.
  template <class M>
  [[nodiscard]] Result<std::pair<M, Bytes>> with_body() const {
    if (!is<M>()) {
      return make_error(ErrorCode::kWorkerProtocol,
                        "expected message " + std::to_string(static_cast<int>(M::kType)) +
                            ", received " + std::to_string(type));
    }
    M message;
    Decoder decoder(payload.bytes());
    message.visit(decoder);
    const Bytes body = decoder.take_rest();
    MLXGUARD_TRY(decoder.finish());
    return std::pair<M, Bytes>(std::move(message), body);
  }
};

/// A message ready to be sent; it keeps the descriptors it carries open until it dies.
struct Packet {
  MessageNumber type = 0;
  std::vector<std::uint8_t> bytes;  ///< inline fields, or empty when `memory` holds them
  UniqueFd memory;
  std::uint64_t memory_size = 0;
  std::vector<int> descriptors;  ///< borrowed
};

/// Lays a message out: its fields, and behind them a body that the fields do not know. Errors:
/// kTooLarge beyond kIpcPayloadBytesMax, kIo.
[[nodiscard]] Result<Packet> pack(MessageNumber type, std::vector<std::uint8_t> fields,
                                  std::span<const int> descriptors = {}, Bytes body = {});

template <class M>
[[nodiscard]] Result<Packet> pack(const M& message, std::span<const int> descriptors = {}) {
  Encoder encoder;
  const_cast<M&>(message).visit(encoder);  // the Encoder only reads
  return pack(static_cast<MessageNumber>(M::kType), std::move(encoder).take(), descriptors);
}

template <class M>
[[nodiscard]] Result<Packet> pack_with_body(const M& message, Bytes body) {
  Encoder encoder;
  const_cast<M&>(message).visit(encoder);  // the Encoder only reads
  return pack(static_cast<MessageNumber>(M::kType), std::move(encoder).take(), {}, body);
}

enum class SendStatus : std::uint8_t { kSent, kWouldBlock };

/// Not thread-safe; one thread sends and receives.
class Channel {
 public:
  Channel() = default;
  Channel(UniqueFd socket, ReceiveBounds bounds) : socket_(std::move(socket)), bounds_(bounds) {}

  /// Two connected sockets, close-on-exec, blocking.
  [[nodiscard]] static Result<std::pair<UniqueFd, UniqueFd>> socket_pair();
  /// Both as Channels, for two ends in one process.
  [[nodiscard]] static Result<std::pair<Channel, Channel>> pair(ReceiveBounds first,
                                                                ReceiveBounds second);

  [[nodiscard]] bool is_open() const { return socket_.is_open(); }
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] UniqueFd release() && { return std::move(socket_); }
  void close() { socket_.reset(); }

  /// Sends without blocking. Errors: kWorkerUnavailable when the peer is gone, kIo.
  [[nodiscard]] Result<SendStatus> try_send(const Packet& packet);
  /// Sends, waiting for room; for processes that have nothing else to do.
  [[nodiscard]] Result<void> send(const Packet& packet);
  template <class M>
  [[nodiscard]] Result<void> send(const M& message, std::span<const int> descriptors = {}) {
    MLXGUARD_TRY_ASSIGN(const Packet packet, pack(message, descriptors));
    return send(packet);
  }

  /// A message, or nothing if none is there now. Errors: kWorkerUnavailable when the peer is gone,
  /// kWorkerProtocol for a malformed packet or one beyond the bounds, kWorkerSeals.
  [[nodiscard]] Result<std::optional<Received>> try_receive();
  /// Waits for a message until `deadline`; kDeadline after it.
  [[nodiscard]] Result<Received> receive(
      std::optional<std::chrono::steady_clock::time_point> deadline = {});

  /// Overwrites what is left of received messages in this channel's buffer; after one with a
  /// secret.
  void forget_received() noexcept;

 private:
  enum class Wait : std::uint8_t { kNo, kYes };
  [[nodiscard]] Result<std::optional<Received>> receive_packet(Wait wait);
  UniqueFd socket_;
  ReceiveBounds bounds_{};
  std::unique_ptr<std::uint8_t[]> buffer_;  ///< made at the first receive, used for every later one
};

}  // namespace mlxguard::wire
