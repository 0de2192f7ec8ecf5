// SPDX-License-Identifier: Apache-2.0
#include "http/http1.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "base/copy_step.h"

namespace mlxguard::http {
namespace {

/// A body may come no slower than this, after the time of a header.
constexpr std::uint64_t kBodyBytesPerSecondMin = 1024;

const RequestHead kNoHead;

}  // namespace

// ---- from one request to the next ----

Task<void> Http1::run(Welcome welcome) {
  if (welcome == Welcome::kTurnAway) {
    co_await refuse(make_error(ErrorCode::kConnectionsFull, "too many connections"));
    co_return;
  }
  for (bool first = true;; first = false) {
    connection_.allow(first ? connection_.options().header_timeout
                            : connection_.options().idle_timeout);
    if (!co_await connection_.wait_for_bytes() || !co_await serve_one()) co_return;
  }
}

/// One request and its answer; true if the connection can serve a further one.
Task<bool> Http1::serve_one() {
  parser_.emplace(connection_.options().limits);
  stage_ = Stage::kWaiting;
  bytes_sent_ = 0;
  connection_.allow(connection_.options().header_timeout);
  const auto arrived = co_await read_head();
  if (arrived && !*arrived) co_return false;
  connection_.allow_forever();
  if (!arrived) {
    co_await refuse(arrived.error());
    co_return false;
  }
  is_head_ = head().method == "HEAD";
  connection_.let_probe(head().version == Version::kHttp11);
  co_await connection_.server().handler().handle(*this);
  co_await end_answer();
  connection_.server().let_go(std::exchange(held_, 0));
  if (connection_.is_gone()) co_return false;
  if (!stays_) co_await connection_.linger();
  co_return stays_;
}

Task<void> Http1::refuse(Error error) {
  refusal_ = error;
  co_await connection_.server().handler().refuse(*this, std::move(error));
  co_await end_answer();
  if (!connection_.is_gone()) co_await connection_.linger();
}

/// After the handler has returned: nobody is called any more, and no answer stays half said.
Task<void> Http1::end_answer() {
  connection_.watch(nullptr);
  connection_.let_probe(false);
  if (stage_ == Stage::kWaiting) {
    ResponseHead failed;
    failed.status = 500;
    (void)co_await respond(std::move(failed), {});
  }
  if (stage_ == Stage::kStreaming) {
    stays_ = false;
    connection_.reset();
  }
}

/// True when a head is there; false if the client went away before it was whole.
Task<Result<bool>> Http1::read_head() {
  for (;;) {
    MLXGUARD_CO_TRY(parse_unread());
    if (parser_->has_head()) co_return true;
    const auto received = co_await connection_.read_more(kReadBytes);
    if (!received && received.error().code == ErrorCode::kTruncated) co_return false;
    MLXGUARD_CO_TRY(received);
  }
}

Result<void> Http1::parse_unread() {
  MLXGUARD_TRY_ASSIGN(const std::size_t used, parser_->feed(connection_.unread()));
  connection_.consume(used);
  return {};
}

// ---- the request ----

const RequestHead& Http1::head() const { return parser_ ? parser_->head() : kNoHead; }

Task<Result<std::string_view>> Http1::read_body() {
  if (refusal_) co_return *refusal_;
  const ServerOptions& options = connection_.options();
  const SteadyTime started = std::chrono::steady_clock::now();
  parser_->read_body();
  if (parser_->expects_continue() && connection_.unread().empty() && !parser_->done()) {
    MLXGUARD_CO_TRY(co_await connection_.send(pieces_of(kContinue)));
  }
  for (;;) {
    MLXGUARD_CO_TRY(parse_unread());
    const std::uint64_t size = parser_->body().size();
    if (size > held_ && !connection_.server().hold(size - held_)) {
      co_return make_error(ErrorCode::kMemoryFull, "too many bytes of requests are held at once");
    }
    held_ = std::max(held_, size);
    if (parser_->done()) {
      connection_.allow_forever();
      co_return std::string_view(parser_->body());
    }
    const std::chrono::milliseconds earned(size * 1000 / kBodyBytesPerSecondMin);
    connection_.allow_until(
        started + std::min(options.body_timeout, options.header_timeout + earned));
    const auto received =
        co_await connection_.read_more(size > kReadBytes ? kLargeReadBytes : kReadBytes);
    if (received) continue;
    connection_.allow_forever();
    if (received.error().code == ErrorCode::kTruncated) co_return client_gone();
    co_return received.error();
  }
}

void Http1::drop_body() {
  if (parser_) parser_->drop_body();
  connection_.server().let_go(std::exchange(held_, 0));
}

/// A request answered before its body was read: true if all of the body is here already. A body
/// that was not read to its end cannot be told from the next request.
bool Http1::skip_received_body() {
  if (parser_->done()) return true;
  parser_->read_body();
  return parse_unread() && parser_->done();
}

// ---- the answer ----

/// Decides how the answer ends and whether the connection goes on; its head as bytes.
std::string Http1::start(ResponseHead& head) {
  MLXGUARD_CHECK(stage_ == Stage::kWaiting);
  connection_.let_probe(false);
  stage_ = Stage::kStreaming;
  stays_ = !refusal_ && skip_received_body() && parser_->keep_alive() &&
           !connection_.server().is_draining();
  if (head.status == 204 || head.status == 304) {
    framing_ = Framing::kNoBody;
  } else if (head.content_length) {
    framing_ = Framing::kLength;
    left_ = *head.content_length;
  } else if (this->head().version == Version::kHttp10) {
    framing_ = Framing::kUntilClose;
    stays_ = false;
  } else {
    framing_ = Framing::kChunked;
  }
  return format_head(head, connection_.server().date(), framing_,
                     stays_ ? KeepAlive::kYes : KeepAlive::kNo);
}

void Http1::count(std::uint64_t bytes) {
  bytes_sent_ += bytes;
  if (framing_ == Framing::kLength) left_ -= bytes;
}

Task<Result<void>> Http1::respond(ResponseHead head, std::string_view body) {
  head.content_length = body.size();
  std::string text = start(head);
  if (framing_ == Framing::kNoBody) body = {};
  auto sent = co_await write_stretches(std::move(text), body);
  stage_ = Stage::kDone;
  co_return sent;
}

/// A head and a body of announced length, a long one in stretches.
Task<Result<void>> Http1::write_stretches(std::string head, std::string_view body) {
  std::string_view first = head;
  do {
    const std::string_view stretch = body.substr(0, kStretchBytes);
    body.remove_prefix(stretch.size());
    const std::string_view sent = is_head_ ? std::string_view() : stretch;
    MLXGUARD_CO_TRY(co_await connection_.send(pieces_of(first, sent)));
    count(stretch.size());
    first = {};
  } while (!body.empty());
  co_return Result<void>();
}

Task<Result<void>> Http1::begin(ResponseHead head) {
  const std::string text = start(head);
  co_return co_await connection_.send(pieces_of(text));
}

Task<Result<void>> Http1::write(std::string_view bytes) {
  MLXGUARD_CHECK(stage_ == Stage::kStreaming && framing_ != Framing::kNoBody);
  MLXGUARD_CHECK(framing_ != Framing::kLength || bytes.size() <= left_);
  while (!bytes.empty()) {
    const std::string_view stretch = bytes.substr(0, kStretchBytes);
    bytes.remove_prefix(stretch.size());
    if (is_head_) {
      if (is_gone()) co_return client_gone();
    } else if (framing_ == Framing::kChunked) {
      std::array<char, 20> size{};
      char* end = std::to_chars(size.data(), size.data() + size.size() - 2, stretch.size(), 16).ptr;
      *end++ = '\r';
      *end++ = '\n';
      MLXGUARD_CO_TRY(co_await connection_.send(
          pieces_of({size.data(), static_cast<std::size_t>(end - size.data())}, stretch, "\r\n")));
    } else {
      MLXGUARD_CO_TRY(co_await connection_.send(pieces_of(stretch)));
    }
    count(stretch.size());
  }
  co_return Result<void>();
}

Task<Result<void>> Http1::write_file(int fd, std::uint64_t offset, std::uint64_t length) {
  MLXGUARD_CHECK(stage_ == Stage::kStreaming && framing_ == Framing::kLength && length <= left_);
  if (!is_head_) MLXGUARD_CO_TRY(co_await connection_.send_file(fd, offset, length));
  count(length);
  co_return Result<void>();
}

Task<Result<void>> Http1::finish(Headers trailers) {
  MLXGUARD_CHECK(stage_ == Stage::kStreaming);
  if (framing_ == Framing::kChunked && !is_head_) {
    std::string text = "0\r\n";
    if (parser_->takes_trailers()) {
      for (const Header& trailer : trailers) append_header(text, trailer);
    }
    text += "\r\n";
    MLXGUARD_CO_TRY(co_await connection_.send(pieces_of(text)));
  }
  if (is_gone()) co_return client_gone();
  MLXGUARD_CHECK(framing_ != Framing::kLength || left_ == 0);
  stage_ = Stage::kDone;
  co_return Result<void>();
}

Task<Result<void>> Http1::send_interim() {
  MLXGUARD_CHECK(stage_ == Stage::kWaiting);
  if (is_gone()) co_return client_gone();
  if (head().version == Version::kHttp10) co_return Result<void>();
  co_return co_await connection_.send(pieces_of(kContinue));
}

}  // namespace mlxguard::http
