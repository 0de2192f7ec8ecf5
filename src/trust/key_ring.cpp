// SPDX-License-Identifier: Apache-2.0
#include "trust/key_ring.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/limits.h"
#include "trust/key_files.h"
#include "trust/policy_memory.h"

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

/// Beside the key folder, in the state folder: who takes the list away with its note is noticed.
PolicyMemory memory_of(const KeyStore& store) { return PolicyMemory(store.folder().parent_path()); }

/// Best effort: where a folder cannot be written, the next look starts from the older note.
void remember(const KeyStore& store, const RevocationList& list) {
  static_cast<void>(memory_of(store).update([&](SeenVersions& seen) -> Result<void> {
    if (seen.revocations >= list.version()) return {};
    seen.revocations = list.version();
    seen.revocations_head = list.head();
    return {};
  }));
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

/// The rotation of `key`, the `number`th one beside the key of this name, if it is there.
template <class Read>
Result<std::optional<Rotation>> read_rotation(const std::string& name, const EcPublicKey& key,
                                              std::size_t number, const Read& read) {
  const std::string suffix = rotation_suffix(number);
  MLXGUARD_TRY_ASSIGN(auto rotation, parse_if_there(read(suffix), parse_rotation, name + suffix));
  if (rotation && rotation->old_key.fingerprint() != key.fingerprint()) {
    return make_error(ErrorCode::kKeyRecord, "the rotation beside the key is about another key")
        .about(name + suffix)
        .compared(key.fingerprint(), rotation->old_key.fingerprint());
  }
  return rotation;
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
  MLXGUARD_TRY_ASSIGN(status.rotation, read_rotation(name, key, 1, read));
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

Error not_the_one_seen(std::uint64_t seen_version, const RevocationList& list) {
  return make_error(ErrorCode::kKeyRecord, "the revocation list is not the one that was seen here")
      .about(std::string(kRevocationsFile))
      .compared("version " + std::to_string(seen_version) + " or one that goes on from it",
                "version " + std::to_string(list.version()))
      .hinting("bring back the newest list: an older one would trust revoked keys again");
}

/// `noted_version` is set to the lower one of those that are on the two notes.
Result<RevocationList> load_list(const KeyStore& store, const RevocationList::FindKey& trusted,
                                 std::uint64_t& noted_version) {
  // The notes first: who revokes meanwhile makes the list newer than the note, never older.
  MLXGUARD_TRY_ASSIGN(const Seen seen, read_seen(store));
  MLXGUARD_TRY_ASSIGN(const SeenVersions memory, memory_of(store).read());
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
  if (!list.continues(seen.version, seen.head)) return not_the_one_seen(seen.version, list);
  if (!list.continues(memory.revocations, memory.revocations_head)) {
    return not_the_one_seen(memory.revocations, list);
  }
  noted_version = std::min(seen.version, memory.revocations);
  return list;
}

}  // namespace

std::string rotation_suffix(std::size_t number) {
  const std::string first(kRotationSuffix);
  return number == 1 ? first : first + "." + std::to_string(number);
}

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
    const auto read = [&store, key_name = name](std::string_view suffix) {
      return store.read_note(key_name + std::string(suffix), limits::kKeyRecordBytesMax);
    };
    MLXGUARD_TRY(ring.add_given(std::move(name), std::move(key), read));
  }
  for (const std::filesystem::path& file : files) {
    MLXGUARD_TRY_ASSIGN(EcPublicKey key, crypto::read_public_key(file));
    if (ring.find(key.fingerprint()) != nullptr) continue;
    const auto read = [file](std::string_view suffix) { return read_beside(file, suffix); };
    MLXGUARD_TRY(ring.add_given(file.stem().string(), std::move(key), read));
  }
  ring.given_ = ring.keys_.size();
  std::uint64_t noted_version = 0;
  MLXGUARD_TRY_ASSIGN(ring.revocations_, load_list(store, ring.who_may_revoke(), noted_version));
  if (locked == Locked::kNo && ring.revocations_.version() > noted_version) {
    remember(store, ring.revocations_);
  }
  MLXGUARD_TRY(ring.add_successors());
  ring.beside_.clear();
  for (RingKey& key : ring.keys_) {
    const Revocation* revoked = ring.revocations_.find(key.key.fingerprint());
    if (revoked != nullptr) key.status.revocation = *revoked;
  }
  return ring;
}

Result<void> KeyRing::add_given(std::string name, EcPublicKey key, ReadBeside read) {
  MLXGUARD_TRY_ASSIGN(KeyStatus status, read_status(name, key, read));
  keys_.push_back({std::move(name), std::move(key), std::move(status)});
  beside_.push_back(std::move(read));
  return {};
}

/// Along the rotations that lie beside each given key, as far as nobody on the way is revoked.
Result<void> KeyRing::add_successors() {
  for (std::size_t i = 0; i < given_; ++i) {
    std::size_t at = i;
    for (std::size_t count = 1; keys_[at].status.rotation; ++count) {
      if (revocations_.find(keys_[at].key.fingerprint()) != nullptr) break;
      const EcPublicKey successor = keys_[at].status.rotation->new_key;
      if (find(successor.fingerprint()) != nullptr) break;
      if (count > limits::kRotationsMax) {
        return make_error(ErrorCode::kKeyRecord, "a key was rotated more often than allowed")
            .about(keys_[i].name);
      }
      KeyStatus status;
      MLXGUARD_TRY_ASSIGN(status.rotation,
                          read_rotation(keys_[i].name, successor, count + 1, beside_[i]));
      const std::string name =
          keys_[i].name + " (successor" + (count > 1 ? " " + std::to_string(count) : "") + ")";
      keys_.push_back({name, successor, std::move(status), keys_[i].name, count});
      at = keys_.size() - 1;
    }
  }
  return {};
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

std::string KeyRing::line_of(std::string_view fingerprint) const {
  std::vector<std::string> line{std::string(fingerprint)};
  for (;;) {
    const RingKey* from = find(line.back());
    if (from == nullptr || !from->status.rotation) return line.back();
    const std::string& next = from->status.rotation->new_key.fingerprint();
    const auto again = std::find(line.begin(), line.end(), next);
    // Keys that were rotated in a circle: one of them, always the same, stands for all.
    if (again != line.end()) return *std::min_element(again, line.end());
    line.push_back(next);
  }
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
