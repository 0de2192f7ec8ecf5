// SPDX-License-Identifier: Apache-2.0
// KeyRing: the key folder with what is signed about its keys. Where a KeyStore knows files, this
// knows which key may still be relied on. Trusted: the folder's owner. Not trusted: records and
// lists, which may have been copied here from elsewhere; one that does not verify stops everything
// (kKeyRecord).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/key_store.h"
#include "trust/key_records.h"

namespace mlxguard::trust {

struct RingKey {
  std::string name;
  crypto::EcPublicKey key;
  KeyStatus status;
  /// Of a key that is here by rotations alone: the key in the folder that the first of them
  /// replaced, and how many of them there were.
  std::string origin{};
  std::size_t rotations = 0;
};

/// Public keys and their standing, as they were when they were loaded. Copyable.
class KeyRing {
 public:
  /// The folder's keys, the keys of `files` (named by their stems), and the keys that rotations of
  /// one of those made its successors, up to one that is revoked. Then the revocation list,
  /// which any of these may have signed. Errors: those of KeyStore::public_keys; kKeyRecord for a
  /// record or list that does not verify, and for a list older than one that was seen here.
  [[nodiscard]] static Result<KeyRing> load(const crypto::KeyStore& store,
                                            std::span<const std::filesystem::path> files = {});
  /// The same for who holds the folder's lock.
  [[nodiscard]] static Result<KeyRing> load_locked(const crypto::KeyStore& store,
                                                   std::span<const std::filesystem::path> files);

  [[nodiscard]] std::span<const RingKey> keys() const { return keys_; }
  [[nodiscard]] const RingKey* find_name(std::string_view name) const;
  [[nodiscard]] const RingKey* find(std::string_view fingerprint) const;
  /// The keys that the operator put here. A rotation does not hand this on to the successor.
  [[nodiscard]] RevocationList::FindKey who_may_revoke() const;
  [[nodiscard]] const RevocationList& revocations() const { return revocations_; }
  /// The last key on the line of rotations that this one stands on, which stands for all of them:
  /// who signed a rotation holds both keys. The key itself if it was never rotated.
  [[nodiscard]] std::string line_of(std::string_view fingerprint) const;
  /// Whether signatures of this key are good now. A key that no record speaks of is. kKeyRevoked,
  /// kKeyExpired.
  [[nodiscard]] Result<void> check_verify(std::string_view fingerprint, WallTime now) const;

 private:
  enum class Locked : std::uint8_t { kNo, kYes };
  [[nodiscard]] static Result<KeyRing> load(const crypto::KeyStore& store,
                                            std::span<const std::filesystem::path> files,
                                            Locked locked);
  /// The text of a file beside a key, if it is there.
  using ReadBeside = std::function<Result<std::optional<std::string>>(std::string_view suffix)>;
  [[nodiscard]] Result<void> add_given(std::string name, crypto::EcPublicKey key, ReadBeside read);
  [[nodiscard]] Result<void> add_successors();
  std::vector<RingKey> keys_;
  std::size_t given_ = 0;           ///< keys that are not there by a rotation; they come first
  std::vector<ReadBeside> beside_;  ///< of the given keys, while they are loaded
  RevocationList revocations_;
};

}  // namespace mlxguard::trust
