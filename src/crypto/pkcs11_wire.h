// SPDX-License-Identifier: Apache-2.0
// What mlxguard and mlxguard-token say to each other, over two pipes: frames of a length, one tag
// byte and a body. Neither side trusts the other's bytes: the one runs foreign code, and no frame
// is larger than kTokenMessageBytesMax.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/secret.h"

namespace mlxguard::crypto {

/// Of a frame. Questions get exactly one answer each, kDone or kFailed.
enum class TokenTag : std::uint8_t {
  kOpen = 'O',      ///< a URI: load the module, find the token. Answer: one byte, a TokenLogin
  kGenerate = 'G',  ///< the number of a curve: make the key when logged in. Answer: empty
  kLogin = 'L',  ///< the PIN: log in and find the key. Answer: curve parameters, point (two blocks)
  kSign = 'S',   ///< a digest. Answer: r and s
  kDone = 'D',
  kFailed = 'F',  ///< number of an ErrorCode (two bytes), message
};

enum class TokenLogin : std::uint8_t { kNone = 0, kPin = 1, kOnToken = 2 };

struct TokenFrame {
  TokenTag tag = TokenTag::kFailed;
  Secret body;
};

/// kTokenModule if the other side is gone.
[[nodiscard]] Result<void> write_frame(int fd, TokenTag tag, Bytes body);
/// kTokenModule if the other side is gone, silent beyond `within` (negative: waits for ever), or
/// sends what is no frame.
[[nodiscard]] Result<TokenFrame> read_frame(int fd, std::chrono::milliseconds within);

/// A body of two blocks, each with its length (two bytes) before it.
[[nodiscard]] std::vector<std::uint8_t> join_blocks(Bytes first, Bytes second);
[[nodiscard]] Result<std::pair<Bytes, Bytes>> split_blocks(Bytes body);

/// The error that a kFailed body tells of; never one that a token cannot cause.
[[nodiscard]] Error read_failure(Bytes body);
[[nodiscard]] std::vector<std::uint8_t> write_failure(const Error& error);

}  // namespace mlxguard::crypto
