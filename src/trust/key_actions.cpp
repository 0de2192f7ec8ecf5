// SPDX-License-Identifier: Apache-2.0
#include "trust/key_actions.h"

#include <utility>

#include "base/limits.h"
#include "trust/key_files.h"

namespace mlxguard::trust {
namespace {

using crypto::EcPrivateKey;
using crypto::EcPublicKey;
using crypto::KeyFile;
using crypto::KeyStore;
using crypto::Secret;
using crypto::Signer;

constexpr mode_t kReadable = 0644;

KeyFile file_of(std::string_view name, std::string_view suffix, std::string_view text,
                KeyFile::Over over = KeyFile::Over::kNever) {
  return {std::string(name) + std::string(suffix), Secret::copy_of(as_bytes(text)), kReadable,
          over};
}

Result<void> add_record(const NewKey& made, KeyKind kind, std::string_view uri, const Signer& key,
                        std::vector<KeyFile>& files) {
  KeyRecord record{.key = key.public_key(), .kind = kind};
  record.created = made.created;
  record.not_before = made.not_before;
  record.not_after = made.not_after;
  record.token_uri = uri;
  MLXGUARD_TRY_ASSIGN(const std::string text, write_key_record(record, key));
  // A key whose signatures do not verify must not come to be.
  MLXGUARD_TRY(parse_key_record(text));
  files.push_back(file_of(made.name, kRecordSuffix, text));
  return {};
}

Result<void> add_rotation(std::string_view old_name, const Signer& old_key, const Signer& new_key,
                          WallTime now, std::optional<WallTime> old_valid_until,
                          std::vector<KeyFile>& files) {
  Rotation rotation{.old_key = old_key.public_key(), .new_key = new_key.public_key()};
  rotation.at = now;
  rotation.old_valid_until = old_valid_until;
  MLXGUARD_TRY_ASSIGN(const std::string text, write_rotation(rotation, old_key, new_key));
  MLXGUARD_TRY(parse_rotation(text));
  files.push_back(file_of(old_name, kRotationSuffix, text));
  return {};
}

Error rotated_before(Error error, std::string_view old_name) {
  if (error.code != ErrorCode::kKeyExists ||
      error.subject.find(kRotationSuffix) == std::string::npos) {
    return error;
  }
  return make_error(ErrorCode::kKeyRecord, "the key was rotated before")
      .about(std::string(old_name));
}

Result<UseCount> read_count(const KeyStore& store, std::string_view name, const EcPublicKey& key) {
  const std::string file = std::string(name) + std::string(kUsesSuffix);
  MLXGUARD_TRY_ASSIGN(const auto text, store.read_note(file, limits::kKeyRecordBytesMax));
  if (!text) return UseCount{};
  auto count = parse_use_count(*text, key);
  if (!count) return std::move(count).error().about(file);
  return count;
}

std::vector<KeyFile> files_of(const RevocationList& list) {
  std::vector<KeyFile> files;
  files.push_back(file_of(kRevocationsFile, {}, list.text(), KeyFile::Over::kReplace));
  files.push_back(seen_file(list));
  return files;
}

}  // namespace

Result<EcPublicKey> make_key(const KeyStore& store, const NewKey& made, const Secret& passphrase,
                             const OnRecord& on_record) {
  return store.create(made.name, made.curve, passphrase,
                      [&](const Signer& key, std::vector<KeyFile>& files) -> Result<void> {
                        MLXGUARD_TRY(add_record(made, KeyKind::kFile, {}, key, files));
                        return on_record(key.public_key());
                      });
}

Result<EcPublicKey> import_key(const KeyStore& store, const NewKey& made, const EcPrivateKey& key,
                               const Secret& passphrase, const OnRecord& on_record) {
  return store.add(made.name, key, passphrase,
                   [&](const Signer& imported, std::vector<KeyFile>& files) -> Result<void> {
                     MLXGUARD_TRY(add_record(made, KeyKind::kFile, {}, imported, files));
                     return on_record(imported.public_key());
                   });
}

Result<EcPublicKey> register_token_key(const KeyStore& store, const NewKey& made, const Signer& key,
                                       std::string_view uri, const OnRecord& on_record) {
  return store.add_elsewhere(
      made.name, key, [&](const Signer& token_key, std::vector<KeyFile>& files) -> Result<void> {
        MLXGUARD_TRY(add_record(made, KeyKind::kToken, uri, token_key, files));
        return on_record(token_key.public_key());
      });
}

Result<std::unique_ptr<Signer>> open_signer(const KeyStore& store, const RingKey& key,
                                            const KeySecrets& secrets) {
  std::unique_ptr<Signer> signer;
  if (key.status.record && key.status.record->kind == KeyKind::kToken) {
    const auto pin = [&] { return secrets.ask(KeyKind::kToken); };
    MLXGUARD_TRY_ASSIGN(signer,
                        crypto::open_pkcs11_key(key.status.record->token_uri, pin, secrets.token));
  } else {
    if (!store.has_private_key(key.name)) {
      return make_error(ErrorCode::kKeyNotFound, "only the public half of this key is here")
          .about(key.name);
    }
    MLXGUARD_TRY_ASSIGN(const Secret passphrase, secrets.ask(KeyKind::kFile));
    MLXGUARD_TRY_ASSIGN(EcPrivateKey opened, store.open(key.name, passphrase));
    signer = std::make_unique<EcPrivateKey>(std::move(opened));
  }
  if (signer->public_key().fingerprint() != key.key.fingerprint()) {
    return make_error(ErrorCode::kKeyFormat,
                      "the private key is not that of the public key beside it")
        .about(key.name)
        .compared(key.key.fingerprint(), signer->public_key().fingerprint());
  }
  return signer;
}

Result<UseCount> use_count(const KeyStore& store, const RingKey& key) {
  return read_count(store, key.name, key.key);
}

Result<std::unique_ptr<Signer>> open_to_sign(const KeyStore& store, const KeyRing& ring,
                                             std::string_view name, const KeySecrets& secrets,
                                             WallTime now) {
  MLXGUARD_TRY(crypto::check_key_name(name));
  MLXGUARD_TRY(store.public_key(name));  // says that there is no such key
  const RingKey* key = ring.find_name(name);
  if (key == nullptr) return make_error(ErrorCode::kInternal, "a key that is there was not loaded");
  if (auto allowed = key->status.check_sign(now); !allowed) {
    return std::move(allowed).error().about(std::string(name));
  }
  MLXGUARD_TRY_ASSIGN(std::unique_ptr<Signer> signer, open_signer(store, *key, secrets));
  // Counted before it signs: the count may be too high after a kill, never too low.
  const auto count_use = [&]() -> Result<std::vector<KeyFile>> {
    MLXGUARD_TRY_ASSIGN(UseCount count, read_count(store, name, key->key));
    ++count.uses;
    count.last = now;
    MLXGUARD_TRY_ASSIGN(const std::string text, write_use_count(count, *signer));
    std::vector<KeyFile> files;
    files.push_back(file_of(name, kUsesSuffix, text, KeyFile::Over::kReplace));
    return files;
  };
  MLXGUARD_TRY(store.update(count_use));
  return signer;
}

Result<void> rotate_key(const KeyStore& store, std::string_view old_name, const Signer& old_key,
                        const Signer& new_key, WallTime now,
                        std::optional<WallTime> old_valid_until, const OnRecord& on_record) {
  auto done = store.update([&]() -> Result<std::vector<KeyFile>> {
    std::vector<KeyFile> files;
    MLXGUARD_TRY(add_rotation(old_name, old_key, new_key, now, old_valid_until, files));
    MLXGUARD_TRY(on_record(new_key.public_key()));
    return files;
  });
  if (!done) return rotated_before(std::move(done).error(), old_name);
  return {};
}

Result<EcPublicKey> rotate_to_new_key(const KeyStore& store, std::string_view old_name,
                                      const Signer& old_key, const NewKey& made,
                                      const Secret& passphrase,
                                      std::optional<WallTime> old_valid_until,
                                      const OnRecord& on_record) {
  auto done = store.create(
      made.name, made.curve, passphrase,
      [&](const Signer& key, std::vector<KeyFile>& files) -> Result<void> {
        MLXGUARD_TRY(add_record(made, KeyKind::kFile, {}, key, files));
        MLXGUARD_TRY(add_rotation(old_name, old_key, key, made.created, old_valid_until, files));
        return on_record(key.public_key());
      });
  if (!done) return rotated_before(std::move(done).error(), old_name);
  return done;
}

Result<RevocationList> revoke_key(const KeyStore& store,
                                  std::span<const std::filesystem::path> files,
                                  std::string_view fingerprint, std::string_view reason,
                                  WallTime now, const Signer& signer,
                                  const std::function<Result<void>()>& on_record) {
  RevocationList list;
  const auto add_entry = [&]() -> Result<std::vector<KeyFile>> {
    // Read under the lock: of two who revoke at once, the second adds to the first one's list.
    MLXGUARD_TRY_ASSIGN(const KeyRing ring, KeyRing::load_locked(store, files));
    list = ring.revocations();
    MLXGUARD_TRY(list.add(fingerprint, reason, now, signer));
    // What every reader will ask of it.
    MLXGUARD_TRY(RevocationList::parse(list.text(), ring.who_may_revoke()));
    MLXGUARD_TRY(on_record());
    return files_of(list);
  };
  MLXGUARD_TRY(store.update(add_entry));
  return list;
}

Result<RevocationList> accept_revocations(
    const KeyStore& store, std::span<const std::filesystem::path> files, std::string_view text,
    const std::function<Result<void>(const RevocationList&)>& on_record) {
  RevocationList list;
  const auto replace_list = [&]() -> Result<std::vector<KeyFile>> {
    MLXGUARD_TRY_ASSIGN(const KeyRing ring, KeyRing::load_locked(store, files));
    MLXGUARD_TRY_ASSIGN(list, RevocationList::parse(text, ring.who_may_revoke()));
    const RevocationList& here = ring.revocations();
    if (!list.continues(here.version(), here.head())) {
      return make_error(ErrorCode::kKeyRecord,
                        "the revocation list does not go on from the one here")
          .compared("version " + std::to_string(here.version()) + " or one that goes on from it",
                    "version " + std::to_string(list.version()));
    }
    MLXGUARD_TRY(on_record(list));
    return files_of(list);
  };
  MLXGUARD_TRY(store.update(replace_list));
  return list;
}

Result<Rotation> accept_rotation(
    const KeyStore& store, std::span<const std::filesystem::path> files, std::string_view text,
    WallTime now,
    const std::function<Result<void>(const std::string& old_name, const Rotation&)>& on_record) {
  MLXGUARD_TRY_ASSIGN(Rotation rotation, parse_rotation(text));
  std::string old_name;
  const auto add_file = [&]() -> Result<std::vector<KeyFile>> {
    MLXGUARD_TRY_ASSIGN(const KeyRing ring, KeyRing::load_locked(store, files));
    const RingKey* old_key = ring.find(rotation.old_key.fingerprint());
    // Beside the key itself, or beside the one that it succeeded.
    const bool succeeded = old_key != nullptr && !old_key->origin.empty();
    if (old_key == nullptr || !store.public_key(succeeded ? old_key->origin : old_key->name)) {
      return make_error(ErrorCode::kKeyNotFound,
                        "the key that was rotated is not in the key folder")
          .about(rotation.old_key.fingerprint())
          .hinting("of several rotations, accept the first one first");
    }
    MLXGUARD_TRY(old_key->status.check_verify(now));
    old_name = succeeded ? old_key->origin : old_key->name;
    std::vector<KeyFile> added;
    added.push_back(file_of(old_name, rotation_suffix(old_key->rotations + 1), text));
    MLXGUARD_TRY(on_record(old_name, rotation));
    return added;
  };
  auto done = store.update(add_file);
  if (!done) return rotated_before(std::move(done).error(), old_name);
  return rotation;
}

}  // namespace mlxguard::trust
