// SPDX-License-Identifier: Apache-2.0
// Message digests and MACs. Sole includer of the crypto library is this folder.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/byte_reader.h"

namespace mlxguard::crypto {

enum class HashAlgorithm : std::uint8_t { kSha256, kSha384, kSha512, kBlake2b512, kBlake3 };

using Sha256Digest = std::array<std::uint8_t, 32>;

/// Incremental digest. Move-only. One thread at a time.
class Hasher {
 public:
  explicit Hasher(HashAlgorithm algorithm);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();

  void update(Bytes bytes);
  /// Ends this digest; the hasher can only be destroyed afterwards.
  [[nodiscard]] std::vector<std::uint8_t> finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Bytes of a long BLAKE3 input that are hashed as one piece; every piece but the last has as many.
inline constexpr std::size_t kBlake3PieceBytes = std::size_t{2} << 20;
using Blake3Value = std::array<std::uint8_t, 32>;

/// One piece of an input that is longer than one piece. Pieces may be hashed in any order, on any
/// thread. Move-only. One thread at a time.
class Blake3Piece {
 public:
  /// `offset` of the piece in the whole input: a multiple of kBlake3PieceBytes.
  explicit Blake3Piece(std::uint64_t offset);
  void update(Bytes bytes);
  /// The piece's value, to be joined. At least one byte was hashed.
  [[nodiscard]] Blake3Value finish();

 private:
  struct Free {
    void operator()(void* state) const;
  };
  std::unique_ptr<void, Free> state_;
};

/// The digest of an input from the values of its two or more pieces, in order.
[[nodiscard]] std::vector<std::uint8_t> blake3_join(std::span<const Blake3Value> pieces);

[[nodiscard]] Sha256Digest sha256(Bytes bytes);
/// Digest of the concatenation, without copying.
[[nodiscard]] Sha256Digest sha256(std::initializer_list<Bytes> parts);
[[nodiscard]] Sha256Digest hmac_sha256(Bytes key, Bytes message);

/// Compares in time that depends on the lengths only.
[[nodiscard]] bool equal_constant_time(Bytes a, Bytes b);

}  // namespace mlxguard::crypto
