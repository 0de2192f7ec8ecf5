// SPDX-License-Identifier: Apache-2.0
#include "trust/key_ring.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/limits.h"
#include "trust/key_files.h"

namespace mlxguard::trust {
namespace {

using crypto::EcPublicKey;
using crypto::KeyStore;

/// How far the revocation list had come when it was last looked at here.
struct Seen {
  std::uint64_t version = 0;
  std::string head;
};

Result<Seen> read_seen(const KeyStore& store) {
  MLXGUARD_TRY_ASSIGN(const auto text, store.read_note(kSeenFile, limits::kKeyRecordBytesMax));
  Seen seen;
  if (!text) return seen;
  const auto [end, problem] =
      std::from_chars(text->data(), text->data() + text->size(), seen.version);
  const auto used = static_cast<std::size_t>(end - text->data());
  if (problem != std::errc{} || seen.version == 0 || text->size() != used + 66 ||
      (*text)[used] != ' ' || text->back() != '\n') {
    return make_error(ErrorCode::kKeyRecord, "the note of the newest revocation list is malformed")
        .about(std::string(kSeenFile));
  }
  seen.head = text->substr(used + 1, 64);
  return seen;
}

/// Best effort: where the folder cannot be written, the next look starts from the older note.
void remember(const KeyStore& store, const RevocationList& list) {
  static_cast<void>(store.update([&]() -> Result<std::vector<crypto::KeyFile>> {
    std::vector<crypto::KeyFile> files;
    MLXGUARD_TRY_ASSIGN(const Seen seen, read_seen(store));
    if (seen.version < list.version()) files.push_back(seen_file(list));
    return files;
  }));
}

template <class T>
Result<std::optional<T>> parse_if_there(const Result<std::optional<std::string>>& text,
                                        Result<T> (*parse)(std::string_view),
                                        const std::string& file) {
  if (!text) return Error(text.error());
  if (!*text) return std::optional<T>{};
  auto parsed = parse(**text);
  if (!parsed) return std::move(parsed).error().about(file);
  return std::optional<T>(*std::move(parsed));
}

/// `read` gives the text of the record with this suffix, if there is one.
template <class Read>
Result<KeyStatus> read_status(const std::string& name, const EcPublicKey& key, const Read& read) {
  KeyStatus status;
  const std::string record_file = name + std::string(kRecordSuffix);
  MLXGUARD_TRY_ASSIGN(status.record,
                      parse_if_there(read(kRecordSuffix), parse_key_record, record_file));
  if (status.record && status.record->key.fingerprint() != key.fingerprint()) {
    return make_error(ErrorCode::kKeyRecord, "the record beside the key is about another key")
        .about(record_file)
        .compared(key.fingerprint(), status.record->key.fingerprint());
  }
  const std::string rotation_file = name + std::string(kRotationSuffix);
  MLXGUARD_TRY_ASSIGN(status.rotation,
                      parse_if_there(read(kRotationSuffix), parse_rotation, rotation_file));
  if (status.rotation && status.rotation->old_key.fingerprint() != key.fingerprint()) {
    return make_error(ErrorCode::kKeyRecord, "the rotation beside the key is about another key")
        .about(rotation_file)
        .compared(key.fingerprint(), status.rotation->old_key.fingerprint());
  }
  return status;
}

Result<std::optional<std::string>> read_beside(std::filesystem::path file,
                                               std::string_view suffix) {
  file.replace_extension(suffix);
  auto text =
      crypto::read_key_file(file, crypto::KeyFileReaders::kAnyone, limits::kKeyRecordBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<std::string>{};
  if (!text) return std::move(text).error();
  return std::optional<std::string>(std::string(text->text()));
}

/// `seen_version` is set to the one that is on the note.
Result<RevocationList> load_list(const KeyStore& store, const RevocationList::FindKey& trusted,
                                 std::uint64_t& seen_version) {
  // The note first: who revokes meanwhile makes the list newer than the note, never older.
  MLXGUARD_TRY_ASSIGN(const Seen seen, read_seen(store));
  MLXGUARD_TRY_ASSIGN(const auto text,
                      store.read_note(kRevocationsFile, limits::kRevocationListBytesMax));
  RevocationList list;
  if (text) {
    auto parsed = RevocationList::parse(*text, trusted);
    if (!parsed) {
      Error error = std::move(parsed).error();
      if (error.subject.empty()) error.subject = kRevocationsFile;
      return error;
    }
    list = *std::move(parsed);
  }
  if (!list.continues(seen.version, seen.head)) {
    return make_error(ErrorCode::kKeyRecord,
                      "the revocation list is not the one that was seen here")
        .about(std::string(kRevocationsFile))
        .compared("version " + std::to_string(seen.version) + " or one that goes on from it",
                  "version " + std::to_string(list.version()))
        .hinting("bring back the newest list: an older one would trust revoked keys again");
  }
  seen_version = seen.version;
  return list;
}

}  // namespace

crypto::KeyFile seen_file(const RevocationList& list) {
  return {
      std::string(kSeenFile),
      crypto::Secret::copy_of(as_bytes(std::to_string(list.version()) + " " + list.head() + "\n")),
      0644, crypto::KeyFile::Over::kReplace};
}

Result<KeyRing> KeyRing::load(const KeyStore& store, std::span<const std::filesystem::path> files) {
  return load(store, files, Locked::kNo);
}

Result<KeyRing> KeyRing::load_locked(const KeyStore& store,
                                     std::span<const std::filesystem::path> files) {
  return load(store, files, Locked::kYes);
}

Result<KeyRing> KeyRing::load(const KeyStore& store, std::span<const std::filesystem::path> files,
                              Locked locked) {
  KeyRing ring;
  MLXGUARD_TRY_ASSIGN(auto stored, store.public_keys());
  for (auto& [name, key] : stored) {
    const auto read = [&, &key_name = name](std::string_view suffix) {
      return store.read_note(key_name + std::string(suffix), limits::kKeyRecordBytesMax);
    };
    MLXGUARD_TRY_ASSIGN(KeyStatus status, read_status(name, key, read));
    ring.keys_.push_back({std::move(name), std::move(key), std::move(status)});
  }
  for (const std::filesystem::path& file : files) {
    MLXGUARD_TRY_ASSIGN(EcPublicKey key, crypto::read_public_key(file));
    if (ring.find(key.fingerprint()) != nullptr) continue;
    const auto read = [&](std::string_view suffix) { return read_beside(file, suffix); };
    MLXGUARD_TRY_ASSIGN(KeyStatus status, read_status(file.stem().string(), key, read));
    ring.keys_.push_back({file.stem().string(), std::move(key), std::move(status)});
  }
  ring.given_ = ring.keys_.size();
  std::uint64_t seen_version = 0;
  MLXGUARD_TRY_ASSIGN(ring.revocations_, load_list(store, ring.who_may_revoke(), seen_version));
  if (locked == Locked::kNo && ring.revocations_.version() > seen_version) {
    remember(store, ring.revocations_);
  }
  ring.add_successors();
  for (RingKey& key : ring.keys_) {
    const Revocation* revoked = ring.revocations_.find(key.key.fingerprint());
    if (revoked != nullptr) key.status.revocation = *revoked;
  }
  return ring;
}

void KeyRing::add_successors() {
  for (std::size_t i = 0, count = keys_.size(); i < count; ++i) {
    const RingKey old = keys_[i];
    if (!old.status.rotation || revocations_.find(old.key.fingerprint()) != nullptr) continue;
    const EcPublicKey& successor = old.status.rotation->new_key;
    if (find(successor.fingerprint()) != nullptr) continue;
    keys_.push_back({old.name + " (successor)", successor, {}});
  }
}

RevocationList::FindKey KeyRing::who_may_revoke() const {
  std::vector<EcPublicKey> given;
  for (std::size_t i = 0; i < given_; ++i) given.push_back(keys_[i].key);
  return [given = std::move(given)](std::string_view fingerprint) -> std::optional<EcPublicKey> {
    for (const EcPublicKey& key : given) {
      if (key.fingerprint() == fingerprint) return key;
    }
    return std::nullopt;
  };
}

const RingKey* KeyRing::find_name(std::string_view name) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(),
                                  [&](const RingKey& key) { return key.name == name; });
  return found == keys_.end() ? nullptr : &*found;
}

const RingKey* KeyRing::find(std::string_view fingerprint) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const RingKey& key) {
    return key.key.fingerprint() == fingerprint;
  });
  return found == keys_.end() ? nullptr : &*found;
}

Result<void> KeyRing::check_verify(std::string_view fingerprint, WallTime now) const {
  if (const RingKey* known = find(fingerprint)) return known->status.check_verify(now);
  const Revocation* revoked = revocations_.find(fingerprint);
  if (revoked == nullptr) return {};
  KeyStatus status;
  status.revocation = *revoked;
  return status.check_verify(now);
}

}  // namespace mlxguard::trust
