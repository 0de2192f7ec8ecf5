// SPDX-License-Identifier: Apache-2.0
// What an operator does with keys: make, import, register, open to sign, rotate, revoke. Each
// changes the key folder in one step that a kill cannot halve, and each is put on record before it
// happens.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/key_store.h"
#include "crypto/pkcs11_key.h"
#include "trust/key_ring.h"

namespace mlxguard::trust {

/// Called when everything is ready and nothing has happened yet; an error stops it.
using OnRecord = std::function<Result<void>(const crypto::EcPublicKey& key)>;

/// How the private half of a key is reached: the passphrase of a file, the PIN of a token. Asked at
/// most once, and only if the key may be used at all.
struct KeySecrets {
  std::function<Result<crypto::Secret>(KeyKind kind)> ask;
  crypto::TokenOptions token{};
};

struct NewKey {
  std::string name;
  crypto::Curve curve = crypto::Curve::kP256;
  WallTime created{};
  WallTime not_before{};
  std::optional<WallTime> not_after{};
};

/// kKeyExists, kKeyName and those of KeyStore::create.
[[nodiscard]] Result<crypto::EcPublicKey> make_key(const crypto::KeyStore& store, const NewKey& key,
                                                   const crypto::Secret& passphrase,
                                                   const OnRecord& on_record);
/// A key that was made elsewhere; `curve` of `made` is not looked at.
[[nodiscard]] Result<crypto::EcPublicKey> import_key(const crypto::KeyStore& store,
                                                     const NewKey& made,
                                                     const crypto::EcPrivateKey& key,
                                                     const crypto::Secret& passphrase,
                                                     const OnRecord& on_record);
/// A key on a token, under a name here. `uri` names it and holds no PIN.
[[nodiscard]] Result<crypto::EcPublicKey> register_token_key(const crypto::KeyStore& store,
                                                             const NewKey& made,
                                                             const crypto::Signer& key,
                                                             std::string_view uri,
                                                             const OnRecord& on_record);

/// Opens the key's private half, whatever its standing. kKeyNotFound if there is none.
[[nodiscard]] Result<std::unique_ptr<crypto::Signer>> open_signer(const crypto::KeyStore& store,
                                                                  const RingKey& key,
                                                                  const KeySecrets& secrets);

/// Opens a key to sign with and counts the use. kKeyNotFound, kKeyRevoked, kKeyExpired (also: not
/// yet valid, or rotated): all before its secret is asked for.
[[nodiscard]] Result<std::unique_ptr<crypto::Signer>> open_to_sign(const crypto::KeyStore& store,
                                                                   const KeyRing& ring,
                                                                   std::string_view name,
                                                                   const KeySecrets& secrets,
                                                                   WallTime now);

/// How often the key was opened to sign here. kKeyRecord if the count was not signed by it.
[[nodiscard]] Result<UseCount> use_count(const crypto::KeyStore& store, const RingKey& key);

/// Writes OLD.rotation for a new key that exists here already. kKeyRecord if `old_key` was rotated
/// before.
[[nodiscard]] Result<void> rotate_key(const crypto::KeyStore& store, std::string_view old_name,
                                      const crypto::Signer& old_key, const crypto::Signer& new_key,
                                      WallTime now, std::optional<WallTime> old_valid_until,
                                      const OnRecord& on_record);
/// Makes the new key and the rotation to it in one step.
[[nodiscard]] Result<crypto::EcPublicKey> rotate_to_new_key(
    const crypto::KeyStore& store, std::string_view old_name, const crypto::Signer& old_key,
    const NewKey& made, const crypto::Secret& passphrase, std::optional<WallTime> old_valid_until,
    const OnRecord& on_record);

/// Adds an entry to the revocation list that `signer` signs, and returns the list. `files` as for
/// KeyRing::load. kKeyRevoked if it is listed already, or the signer is.
[[nodiscard]] Result<RevocationList> revoke_key(const crypto::KeyStore& store,
                                                std::span<const std::filesystem::path> files,
                                                std::string_view fingerprint,
                                                std::string_view reason, WallTime now,
                                                const crypto::Signer& signer,
                                                const std::function<Result<void>()>& on_record);

/// Puts a revocation list from elsewhere in the place of the one here. kKeyRecord unless it goes on
/// where that one ends. Returns the new list.
[[nodiscard]] Result<RevocationList> accept_revocations(
    const crypto::KeyStore& store, std::span<const std::filesystem::path> files,
    std::string_view text, const std::function<Result<void>(const RevocationList&)>& on_record);
/// Puts a rotation from elsewhere beside the key here that it replaces, which from then on is
/// trusted to have named its successor. kKeyNotFound if that key is not here, kKeyRevoked,
/// kKeyExpired; kKeyRecord if it has a successor already.
[[nodiscard]] Result<Rotation> accept_rotation(
    const crypto::KeyStore& store, std::span<const std::filesystem::path> files,
    std::string_view text, WallTime now,
    const std::function<Result<void>(const std::string& old_name, const Rotation&)>& on_record);

}  // namespace mlxguard::trust
