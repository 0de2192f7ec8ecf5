// SPDX-License-Identifier: Apache-2.0
// Checkpoints: a tree's size and root, signed (C2SP tlog-checkpoint over signed-note, Ed25519).
// Input: files that an attacker may have written. What `open_checkpoint` returns was signed by the
// key.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/ed25519.h"
#include "log/merkle.h"

namespace mlxguard::log {

/// A name and a public key, as a `vkey` line writes them: name+hex(key id)+base64(0x01 || key).
struct VerifierKey {
  std::string name;
  crypto::Ed25519PublicKey key{};

  [[nodiscard]] std::array<std::uint8_t, 4> id() const;
  [[nodiscard]] std::string text() const;
  /// kLogCheckpoint unless well-formed, with the key id that its name and key have.
  [[nodiscard]] static Result<VerifierKey> parse(std::string_view untrusted_text);
};

struct Checkpoint {
  std::string origin;
  std::uint64_t size = 0;
  Hash root{};
};

/// True for a name that a signed note can carry: 1 to 255 bytes of UTF-8, no space, no '+'.
[[nodiscard]] bool is_origin(std::string_view text);

[[nodiscard]] std::string sign_checkpoint(const Checkpoint& checkpoint,
                                          const crypto::Ed25519Key& key);
/// Only after the signature of `key` was verified. Errors: kLogCheckpoint.
[[nodiscard]] Result<Checkpoint> open_checkpoint(std::string_view untrusted_note,
                                                 const VerifierKey& key);

}  // namespace mlxguard::log
