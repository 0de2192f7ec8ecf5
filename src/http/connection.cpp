// SPDX-License-Identifier: Apache-2.0
#include "http/connection.h"

#include <algorithm>
#include <utility>

#include "http/format.h"
#include "http/http1.h"

namespace mlxguard::http {
namespace {

constexpr std::chrono::seconds kTurnAwayTime{2};
/// After an error a client may still be sending: its bytes are read and dropped for so long, since
/// closing at once would reset the connection before it has read why.
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::size_t kLingerBytesMax = 64u << 20;

}  // namespace

Connection::Connection(std::unique_ptr<Stream> stream, ServerState& server, Client client)
    : stream_(std::move(stream)),
      server_(server),
      client_(std::move(client)),
      arrived_(server.executor()),
      sent_(server.executor()) {
  server_.enter(*this);
}

Connection::~Connection() { server_.leave(*this); }

Task<void> Connection::run(Welcome welcome) {
  const auto self = shared_from_this();
  allow(welcome == Welcome::kServe ? options().header_timeout
                                   : std::chrono::milliseconds(kTurnAwayTime));
  if (co_await stream_->handshake()) {
    Http1 session(*this);
    co_await session.run(welcome);
  }
  on_gone_ = nullptr;
  stream_->close();
}

void Connection::expire() {
  expired_ = true;
  deadline_ = SteadyTime::max();
  stream_->cancel();
}

void Connection::drain() {
  if (idle_) stream_->cancel();
}

void Connection::make_room(std::size_t bytes) {
  if (read_ == filled_) read_ = filled_ = 0;
  if (buffer_.size() - filled_ >= bytes) return;
  std::move(buffer_.begin() + static_cast<std::ptrdiff_t>(read_),
            buffer_.begin() + static_cast<std::ptrdiff_t>(filled_), buffer_.begin());
  filled_ -= read_;
  read_ = 0;
  buffer_.resize(std::max(buffer_.size(), filled_ + bytes));
}

void Connection::take(ReadOutcome outcome) {
  filled_ += outcome.bytes;
  // A read that the deadline cut off says nothing about the client.
  if (outcome.end != ReadEnd::kNone && !expired_) finished_ = true;
}

Task<Result<void>> Connection::read_more(std::size_t bytes_max) {
  if (reading_ahead_) {
    const std::size_t before = filled_;
    awaited_ = true;
    co_await arrived_.wait();
    if (filled_ > before) co_return Result<void>();
  } else if (!finished_) {
    make_room(bytes_max);
    const ReadOutcome outcome =
        co_await stream_->read_some({buffer_.data() + filled_, bytes_max});
    take(outcome);
    if (outcome.bytes > 0) co_return Result<void>();
  }
  if (expired_) {
    co_return make_error(ErrorCode::kRequestTimeout, "the request did not arrive in time");
  }
  co_return make_error(ErrorCode::kTruncated, "the client closed the connection");
}

Task<bool> Connection::wait_for_bytes() {
  if (read_ < filled_) co_return true;
  if (server_.is_draining()) co_return false;
  // An idle connection keeps no large buffer.
  if (!reading_ahead_ && buffer_.size() > kReadBytes) {
    std::vector<char>(kReadBytes).swap(buffer_);
    read_ = filled_ = 0;
  }
  idle_ = true;
  const auto received = co_await read_more(kReadBytes);
  idle_ = false;
  co_return received.has_value();
}

Task<Result<void>> Connection::send(Pieces pieces) {
  while (sending_) co_await sent_.wait();
  if (gone_) co_return client_gone();
  sending_ = true;
  allow(options().write_timeout);
  const bool sent = co_await stream_->write(pieces);
  sending_ = false;
  allow_forever();
  if (sent) co_return Result<void>();
  set_gone();
  co_return client_gone();
}

Task<Result<void>> Connection::send_file(int fd, std::uint64_t offset, std::uint64_t length) {
  std::uint64_t since = 0;  // sent since the client was given more time
  allow(options().write_timeout);
  while (length > 0 && !gone_) {
    const std::size_t sent = co_await stream_->send_file(
        fd, offset, static_cast<std::size_t>(std::min<std::uint64_t>(length, kStretchBytes)));
    if (sent == 0) set_gone();
    offset += sent;
    length -= sent;
    since += sent;
    // Bytes that trickle buy no time.
    if (since >= kStretchBytes) {
      allow(options().write_timeout);
      since = 0;
    }
  }
  allow_forever();
  if (gone_) co_return client_gone();
  co_return Result<void>();
}

Task<void> Connection::linger() {
  allow(kLingerTime);
  if (reading_ahead_) {
    awaited_ = true;
    stream_->cancel();
    co_await arrived_.wait();
  }
  if (expired_) co_return;
  std::vector<char> scratch(kReadBytes);
  co_await stream_->linger(scratch, kLingerBytesMax);
}

// ---- a client that goes away ----

void Connection::watch(std::function<void()> callback) {
  on_gone_ = std::move(callback);
  if (!on_gone_) return;
  if (gone_) return std::exchange(on_gone_, nullptr)();
  read_ahead();
}

/// Reads on while a request is being answered: the only way to learn that a client has gone. What
/// comes is the next request, and is bounded.
void Connection::read_ahead() {
  if (finished_) {
    if (!std::exchange(finding_out_, true)) {
      asio::co_spawn(
          server_.executor(),
          [self = shared_from_this()] { return self->find_out_whether_gone(); }, asio::detached);
    }
    return;
  }
  if (reading_ahead_ || filled_ - read_ >= kReadBytes) return;
  make_room(kReadBytes);
  reading_ahead_ = true;
  stream_->start_read({buffer_.data() + filled_, kReadBytes}, shared_from_this());
}

void Connection::on_read(ReadOutcome outcome) {
  reading_ahead_ = false;
  take(outcome);
  if (std::exchange(awaited_, false)) return arrived_.set();
  if (outcome.end == ReadEnd::kBroken) return set_gone();
  if (on_gone_) read_ahead();
}

Task<void> Connection::find_out_whether_gone() {
  if (!stream_->is_broken() && may_probe_ && !sending_) {
    asio::co_spawn(
        server_.executor(),
        [self = shared_from_this()]() -> Task<void> {
          (void)co_await self->send(pieces_of(kContinue));
          self->sent_.set();
        },
        asio::detached);
  }
  if (co_await stream_->wait_until_broken()) set_gone();
}

void Connection::set_gone() {
  if (std::exchange(gone_, true)) return;
  finished_ = true;
  if (on_gone_) std::exchange(on_gone_, nullptr)();
}

}  // namespace mlxguard::http
