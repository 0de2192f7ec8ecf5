// SPDX-License-Identifier: Apache-2.0
// Message digests and MACs. Sole includer of the crypto library is this folder.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_reader.h"

namespace mlxguard::crypto {

enum class HashAlgorithm : std::uint8_t { kSha256, kSha384, kSha512, kBlake2b512 };

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

[[nodiscard]] Sha256Digest sha256(Bytes bytes);
/// Digest of the concatenation, without copying.
[[nodiscard]] Sha256Digest sha256(std::initializer_list<Bytes> parts);
[[nodiscard]] Sha256Digest hmac_sha256(Bytes key, Bytes message);

/// Compares in time that depends on the lengths only.
[[nodiscard]] bool equal_constant_time(Bytes a, Bytes b);

}  // namespace mlxguard::crypto
