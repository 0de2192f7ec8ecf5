// SPDX-License-Identifier: Apache-2.0
// What is said about keys, signed: a key's own record (its validity window), a rotation (the old
// key and the new one both sign it), a revocation (the key itself or another trusted key signs it).
// Input: files that may have come from anyone. Nothing is believed before its signature verified;
// what is malformed, wrongly signed or out of order is kKeyRecord, never "no record".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/ec_key.h"
#include "crypto/signer.h"

namespace mlxguard::trust {

enum class KeyKind : std::uint8_t { kFile, kToken };
[[nodiscard]] std::string_view name_of(KeyKind kind);  ///< "file", "token"

/// NAME.rec: signed by the key that it is about.
struct KeyRecord {
  crypto::EcPublicKey key;
  KeyKind kind = KeyKind::kFile;
  WallTime created{};
  WallTime not_before{};
  std::optional<WallTime> not_after{};  ///< valid up to and including this moment
  std::string token_uri{};              ///< for token keys; never holds a PIN
};
[[nodiscard]] Result<std::string> write_key_record(const KeyRecord& record,
                                                   const crypto::Signer& signer);
/// Verifies the key's own signature.
[[nodiscard]] Result<KeyRecord> parse_key_record(std::string_view text);

/// OLD.rotation: who trusts the old key may trust the new one.
struct Rotation {
  crypto::EcPublicKey old_key;
  crypto::EcPublicKey new_key;
  WallTime at{};
  std::optional<WallTime> old_valid_until{};  ///< signatures of the old key are good until then
};
[[nodiscard]] Result<std::string> write_rotation(const Rotation& rotation,
                                                 const crypto::Signer& old_key,
                                                 const crypto::Signer& new_key);
/// Verifies both signatures. That the old key is trusted is for the caller to know.
[[nodiscard]] Result<Rotation> parse_rotation(std::string_view text);

/// NAME.uses: how often a key was opened to sign, signed by itself.
struct UseCount {
  std::uint64_t uses = 0;
  std::optional<WallTime> last{};
};
[[nodiscard]] Result<std::string> write_use_count(const UseCount& count,
                                                  const crypto::Signer& signer);
/// kKeyRecord unless `key` signed it.
[[nodiscard]] Result<UseCount> parse_use_count(std::string_view text,
                                               const crypto::EcPublicKey& key);

struct Revocation {
  std::string fingerprint;  ///< of the revoked key
  std::string reason;       ///< for people
  WallTime at{};
  std::string signer;  ///< fingerprint of who says so
};

/// The signed list of revoked keys: each entry holds its number and the digest of the one before,
/// so none can be dropped from the middle, and the newest number is the version of the list. An
/// entry is good if the revoked key itself signed it, or a trusted key that no earlier entry
/// revokes.
class RevocationList {
 public:
  /// The trusted key of this fingerprint, or nothing.
  using FindKey = std::function<std::optional<crypto::EcPublicKey>(std::string_view fingerprint)>;

  /// The list that nobody wrote to yet: version 0.
  RevocationList() = default;
  /// All of it or nothing: kKeyRecord, kTooLarge.
  [[nodiscard]] static Result<RevocationList> parse(std::string_view text, const FindKey& trusted);

  [[nodiscard]] std::uint64_t version() const { return revocations_.size(); }
  /// Lowercase hex digest of the newest entry; of two lists with one version and two heads, one
  /// lies.
  [[nodiscard]] const std::string& head() const { return head_; }
  /// True if this list goes on where `older` ends (or is the same list).
  [[nodiscard]] bool continues(std::uint64_t older_version, std::string_view older_head) const;
  [[nodiscard]] const std::vector<Revocation>& revocations() const { return revocations_; }
  [[nodiscard]] const Revocation* find(std::string_view fingerprint) const;

  /// Adds one entry. Errors: kKeyRevoked if the key is listed already; kKeyRecord if `signer` is
  /// itself revoked; those of the signer.
  [[nodiscard]] Result<void> add(std::string_view fingerprint, std::string_view reason, WallTime at,
                                 const crypto::Signer& signer);
  [[nodiscard]] std::string text() const;

 private:
  struct Entry {
    std::string payload;
    std::string signer;     ///< fingerprint
    std::string signature;  ///< base64
  };
  std::vector<Entry> entries_;
  std::vector<std::string> heads_;  ///< digest of each entry
  std::vector<Revocation> revocations_;
  std::string head_;
};

/// Whether a key may be relied on, and why not.
enum class KeyState : std::uint8_t { kActive, kRotated, kNotYetValid, kExpired, kRevoked };
[[nodiscard]] std::string_view name_of(KeyState state);

/// What the records say about one key.
struct KeyStatus {
  std::optional<KeyRecord> record{};
  std::optional<Rotation> rotation{};  ///< to its successor
  std::optional<Revocation> revocation{};

  [[nodiscard]] KeyState state(WallTime now) const;
  /// The end of its window: its own, or the earlier one that a rotation set.
  [[nodiscard]] std::optional<WallTime> not_after() const;
  /// Whether its signatures are good now: kKeyRevoked, kKeyExpired (also: not valid yet).
  [[nodiscard]] Result<void> check_verify(WallTime now) const;
  /// Whether it may make new ones: as above, and a key that was rotated is kKeyExpired.
  [[nodiscard]] Result<void> check_sign(WallTime now) const;
};

}  // namespace mlxguard::trust
