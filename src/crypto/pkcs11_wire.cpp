// SPDX-License-Identifier: Apache-2.0
#include "crypto/pkcs11_wire.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "base/os_error.h"

namespace mlxguard::crypto {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kMessageShownMax = 200;
constexpr std::array kTokenErrors{ErrorCode::kTokenModule, ErrorCode::kToken,
                                  ErrorCode::kTokenPin,    ErrorCode::kTokenKeyNotFound,
                                  ErrorCode::kTokenUri,    ErrorCode::kKeyExists};

std::string hint_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kTokenPin:
      return "a PIN is tried once and never again: the token counts wrong ones";
    case ErrorCode::kToken:
      return "`pkcs11-tool --module MODULE --list-slots` shows the tokens there are";
    case ErrorCode::kTokenKeyNotFound:
      return "`pkcs11-tool --module MODULE --login --list-objects` shows the keys there are";
    default:
      return {};
  }
}

Error gone() {
  return make_error(ErrorCode::kTokenModule, "the token's module ended without an answer");
}

/// A pipe whose reader died raises a signal whose default ends this process.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoPipeSignal() {
    const timespec at_once{};
    if (!was_pending_) ::sigtimedwait(&pipe_, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

Result<void> write_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return gone();
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> read_all(int fd, std::span<std::uint8_t> out, steady_clock::time_point until,
                      bool for_ever) {
  while (!out.empty()) {
    if (!for_ever) {
      const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now());
      pollfd ready{fd, POLLIN, 0};
      const int count = left.count() <= 0 ? 0 : ::poll(&ready, 1, static_cast<int>(left.count()));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return os_error("wait for the token's module");
      if (count == 0) {
        return make_error(ErrorCode::kTokenModule, "the token's module does not answer");
      }
    }
    const ssize_t count = ::read(fd, out.data(), out.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return gone();
    out = out.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace

Result<void> write_frame(int fd, TokenTag tag, Bytes body) {
  if (body.size() > limits::kTokenMessageBytesMax) {
    return make_error(ErrorCode::kTooLarge, "a message to a token that is too large");
  }
  const NoPipeSignal quiet;
  Secret frame(body.size() + 3);
  const auto out = frame.writable();
  out[0] = static_cast<std::uint8_t>(body.size() & 0xff);
  out[1] = static_cast<std::uint8_t>(body.size() >> 8);
  out[2] = static_cast<std::uint8_t>(tag);
  std::copy(body.begin(), body.end(), out.begin() + 3);
  return write_all(fd, frame.bytes());
}

Result<TokenFrame> read_frame(int fd, milliseconds within) {
  const bool for_ever = within < milliseconds(0);
  const auto until = steady_clock::now() + (for_ever ? milliseconds(0) : within);
  std::array<std::uint8_t, 3> head{};
  MLXGUARD_TRY(read_all(fd, head, until, for_ever));
  const std::size_t size = head[0] | static_cast<std::size_t>(head[1]) << 8;
  if (size > limits::kTokenMessageBytesMax) {
    return make_error(ErrorCode::kTokenModule,
                      "the token's module sent a message that is too large");
  }
  TokenFrame frame{static_cast<TokenTag>(head[2]), Secret(size)};
  MLXGUARD_TRY(read_all(fd, frame.body.writable(), until, for_ever));
  return frame;
}

std::vector<std::uint8_t> join_blocks(Bytes first, Bytes second) {
  std::vector<std::uint8_t> body;
  for (const Bytes block : {first, second}) {
    body.push_back(static_cast<std::uint8_t>(block.size() & 0xff));
    body.push_back(static_cast<std::uint8_t>(block.size() >> 8));
    body.insert(body.end(), block.begin(), block.end());
  }
  return body;
}

Result<std::pair<Bytes, Bytes>> split_blocks(Bytes body) {
  ByteReader reader(body);
  std::array<Bytes, 2> blocks;
  for (Bytes& block : blocks) {
    MLXGUARD_TRY_ASSIGN(const auto size, reader.read<std::uint16_t>());
    MLXGUARD_TRY_ASSIGN(block, reader.take(size));
  }
  if (!reader.at_end()) {
    return make_error(ErrorCode::kTokenModule, "the token's module sent bytes beyond its answer");
  }
  return std::pair(blocks[0], blocks[1]);
}

Error read_failure(Bytes body) {
  ErrorCode code = ErrorCode::kTokenModule;
  std::string message;
  if (body.size() >= 2) {
    const auto number = static_cast<std::uint16_t>(body[0] | body[1] << 8);
    for (const ErrorCode known : kTokenErrors) {
      if (static_cast<std::uint16_t>(known) == number) code = known;
    }
    for (const std::uint8_t byte : body.subspan(2, std::min(body.size() - 2, kMessageShownMax))) {
      message.push_back(byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '?');
    }
  }
  if (message.empty()) message = "the token's module failed";
  return make_error(code, std::move(message)).hinting(hint_of(code));
}

std::vector<std::uint8_t> write_failure(const Error& error) {
  const auto number = static_cast<std::uint16_t>(error.code);
  std::vector<std::uint8_t> body;
  body.reserve(kMessageShownMax + 2);
  body.push_back(static_cast<std::uint8_t>(number & 0xff));
  body.push_back(static_cast<std::uint8_t>(number >> 8));
  for (const char c : std::string_view(error.message).substr(0, kMessageShownMax)) {
    body.push_back(static_cast<std::uint8_t>(c));
  }
  return body;
}

}  // namespace mlxguard::crypto
