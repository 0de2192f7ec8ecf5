// SPDX-License-Identifier: Apache-2.0
// TrustedKeys: the public keys whose signatures admit a model. They come only from the operator:
// the key folder, and files named in the configuration or on the command line. A bundle never adds
// one.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/certificate.h"
#include "crypto/ec_key.h"
#include "crypto/key_store.h"
#include "signature/statement.h"
#include "trust/key_ring.h"

namespace mlxguard::signature {

struct TrustedKey {
  std::string name;  ///< for people: the key's name, or the stem of its file
  crypto::EcPublicKey key;
};

class TrustedKeys {
 public:
  /// Every key of the folder and of the files that may be relied on `now`. None at all is no error
  /// here: verification refuses (kNoTrustedKeys), and its event says so. Errors: those of
  /// trust::KeyRing::load.
  [[nodiscard]] static Result<TrustedKeys> load(const crypto::KeyStore& store,
                                                std::span<const std::filesystem::path> files,
                                                WallTime now = SystemClock().now());
  /// Of keys that were read already.
  [[nodiscard]] static TrustedKeys of(trust::KeyRing ring, WallTime now);

  /// A key that is known already keeps its first name.
  void add(std::string name, crypto::EcPublicKey key);
  /// The key with this fingerprint, or nullptr.
  [[nodiscard]] const TrustedKey* find(std::string_view fingerprint) const;
  [[nodiscard]] std::span<const TrustedKey> keys() const { return keys_; }

  /// A key that would be trusted but for what its records say: it is revoked, expired, or not valid
  /// yet.
  struct Refused {
    TrustedKey trusted;
    Error why;  ///< kKeyRevoked or kKeyExpired
  };
  [[nodiscard]] std::span<const Refused> refused() const { return refused_; }
  void refuse(std::string name, crypto::EcPublicKey key, Error why);
  /// An authority whose certificates may sign, with its revocation lists and the time of
  /// verification.
  void add_authority(crypto::ChainTrust authority) { authorities_.push_back(std::move(authority)); }
  [[nodiscard]] std::span<const crypto::ChainTrust> authorities() const { return authorities_; }
  /// Old forms of bundles are read: some source of the policy allows them, and policy decides
  /// whose.
  void read_legacy() { legacy_ = LegacyStatements::kAllowed; }
  [[nodiscard]] LegacyStatements legacy() const { return legacy_; }
  /// The standing of every key, with the revocation list.
  [[nodiscard]] const trust::KeyRing& ring() const { return ring_; }

 private:
  std::vector<TrustedKey> keys_;
  std::vector<Refused> refused_;
  std::vector<crypto::ChainTrust> authorities_;
  LegacyStatements legacy_ = LegacyStatements::kRefused;
  trust::KeyRing ring_;
};

}  // namespace mlxguard::signature
