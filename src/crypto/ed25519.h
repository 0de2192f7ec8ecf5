// SPDX-License-Identifier: Apache-2.0
// Ed25519 (RFC 8032), for the event log's checkpoints.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace mlxguard::crypto {

using Ed25519PublicKey = std::array<std::uint8_t, 32>;
using Ed25519Signature = std::array<std::uint8_t, 64>;

/// A private key, from its 32-byte seed. The seed is wiped when this dies.
class Ed25519Key {
 public:
  [[nodiscard]] static Ed25519Key generate(Random& random);
  /// Errors: kKeyFormat unless exactly 32 bytes.
  [[nodiscard]] static Result<Ed25519Key> from_seed(Bytes seed);
  [[nodiscard]] const Secret& seed() const { return seed_; }
  [[nodiscard]] Ed25519PublicKey public_key() const;
  [[nodiscard]] Ed25519Signature sign(Bytes message) const;

 private:
  explicit Ed25519Key(Secret seed) : seed_(std::move(seed)) {}
  Secret seed_;
};

[[nodiscard]] bool ed25519_verify(const Ed25519PublicKey& key, Bytes message, Bytes signature);

}  // namespace mlxguard::crypto
