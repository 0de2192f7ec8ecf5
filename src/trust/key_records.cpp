// SPDX-License-Identifier: Apache-2.0
#include "trust/key_records.h"

#include <array>
#include <utility>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "trust/signed_record.h"

namespace mlxguard::trust {
namespace {

using codec::JsonValue;
using codec::JsonWriter;
using crypto::EcPublicKey;
using crypto::Signer;

constexpr std::string_view kKeyRecordType = "application/vnd.mlxguard.key-record.v1+json";
constexpr std::string_view kRotationType = "application/vnd.mlxguard.key-rotation.v1+json";
constexpr std::string_view kUsesType = "application/vnd.mlxguard.key-uses.v1+json";

std::string time_text(WallTime time) { return codec::to_rfc3339(time.time_since_epoch().count()); }

void write_optional_time(JsonWriter& json, std::string_view name,
                         const std::optional<WallTime>& time) {
  if (time) json.field(name, time_text(*time));
}

Result<std::string_view> text_of(const JsonValue& object, std::string_view name) {
  MLXGUARD_TRY_ASSIGN(const JsonValue value, object.member(name));
  return value.as_string(name);
}

Result<WallTime> time_of(const JsonValue& object, std::string_view name) {
  MLXGUARD_TRY_ASSIGN(const auto text, text_of(object, name));
  MLXGUARD_TRY_ASSIGN(const std::int64_t milliseconds, codec::from_rfc3339(text));
  return WallTime(std::chrono::milliseconds(milliseconds));
}

Result<std::optional<WallTime>> optional_time_of(const JsonValue& object, std::string_view name) {
  if (!object.find(name)) return std::optional<WallTime>{};
  MLXGUARD_TRY_ASSIGN(const WallTime time, time_of(object, name));
  return std::optional<WallTime>(time);
}

Result<EcPublicKey> key_of(const JsonValue& object, std::string_view name) {
  MLXGUARD_TRY_ASSIGN(const auto pem, text_of(object, name));
  MLXGUARD_TRY_ASSIGN(EcPublicKey key, EcPublicKey::from_pem(pem));
  // One text for one key: its fingerprint is that of the text.
  if (key.pem() != pem) return make_error(ErrorCode::kPem, "expected the key's canonical PEM");
  return key;
}

Result<KeyRecord> read_key_record(const JsonValue& body) {
  MLXGUARD_TRY(
      body.only_members({"public_key", "kind", "created", "not_before", "not_after", "token_uri"}));
  MLXGUARD_TRY_ASSIGN(EcPublicKey key, key_of(body, "public_key"));
  KeyRecord record{.key = std::move(key)};
  MLXGUARD_TRY_ASSIGN(const auto kind, text_of(body, "kind"));
  if (kind != name_of(KeyKind::kFile) && kind != name_of(KeyKind::kToken)) {
    return make_error(ErrorCode::kKeyRecord, "expected the kind \"file\" or \"token\"");
  }
  record.kind = kind == name_of(KeyKind::kFile) ? KeyKind::kFile : KeyKind::kToken;
  MLXGUARD_TRY_ASSIGN(record.created, time_of(body, "created"));
  MLXGUARD_TRY_ASSIGN(record.not_before, time_of(body, "not_before"));
  MLXGUARD_TRY_ASSIGN(record.not_after, optional_time_of(body, "not_after"));
  if (record.not_after && *record.not_after < record.not_before) {
    return make_error(ErrorCode::kKeyRecord, "expected a window that ends after it begins");
  }
  const auto uri = body.find("token_uri");
  if (uri.has_value() != (record.kind == KeyKind::kToken)) {
    return make_error(ErrorCode::kKeyRecord,
                      "expected a token's URI for token keys, and only there");
  }
  if (uri) {
    MLXGUARD_TRY_ASSIGN(record.token_uri, uri->as_string("token_uri"));
  }
  return record;
}

Result<Rotation> read_rotation(const JsonValue& body) {
  MLXGUARD_TRY(body.only_members({"old_key", "new_key", "at", "old_valid_until"}));
  MLXGUARD_TRY_ASSIGN(EcPublicKey old_key, key_of(body, "old_key"));
  MLXGUARD_TRY_ASSIGN(EcPublicKey new_key, key_of(body, "new_key"));
  if (old_key.fingerprint() == new_key.fingerprint()) {
    return make_error(ErrorCode::kKeyRecord, "expected a rotation to another key");
  }
  Rotation rotation{.old_key = std::move(old_key), .new_key = std::move(new_key)};
  MLXGUARD_TRY_ASSIGN(rotation.at, time_of(body, "at"));
  MLXGUARD_TRY_ASSIGN(rotation.old_valid_until, optional_time_of(body, "old_valid_until"));
  return rotation;
}

Result<UseCount> read_use_count(const JsonValue& body) {
  MLXGUARD_TRY(body.only_members({"uses", "last"}));
  UseCount count;
  MLXGUARD_TRY_ASSIGN(const JsonValue uses, body.member("uses"));
  MLXGUARD_TRY_ASSIGN(count.uses, uses.as_uint64("uses"));
  MLXGUARD_TRY_ASSIGN(count.last, optional_time_of(body, "last"));
  return count;
}

Error expired(std::string message, const std::optional<WallTime>& bound, WallTime now) {
  return make_error(ErrorCode::kKeyExpired, std::move(message))
      .compared(bound ? time_text(*bound) : std::string(), time_text(now))
      .hinting("it takes a key whose window includes now: `mlxguard key list`");
}

}  // namespace

std::string_view name_of(KeyKind kind) { return kind == KeyKind::kFile ? "file" : "token"; }

Result<std::string> write_key_record(const KeyRecord& record, const Signer& signer) {
  JsonWriter json;
  json.begin_object().field("public_key", record.key.pem()).field("kind", name_of(record.kind));
  json.field("created", time_text(record.created))
      .field("not_before", time_text(record.not_before));
  write_optional_time(json, "not_after", record.not_after);
  if (record.kind == KeyKind::kToken) json.field("token_uri", record.token_uri);
  json.end_object();
  return write_signed(kKeyRecordType, json.text(), {&signer});
}

Result<KeyRecord> parse_key_record(std::string_view text) {
  MLXGUARD_TRY_ASSIGN(const SignedRecord opened, SignedRecord::parse(text, kKeyRecordType));
  auto record = as_key_record_error(read_key_record(opened.body()));
  if (!record) return record;
  MLXGUARD_TRY(opened.verify({&record->key}));
  return record;
}

Result<std::string> write_rotation(const Rotation& rotation, const Signer& old_key,
                                   const Signer& new_key) {
  JsonWriter json;
  json.begin_object().field("old_key", rotation.old_key.pem());
  json.field("new_key", rotation.new_key.pem()).field("at", time_text(rotation.at));
  write_optional_time(json, "old_valid_until", rotation.old_valid_until);
  json.end_object();
  return write_signed(kRotationType, json.text(), {&old_key, &new_key});
}

Result<Rotation> parse_rotation(std::string_view text) {
  MLXGUARD_TRY_ASSIGN(const SignedRecord opened, SignedRecord::parse(text, kRotationType));
  auto rotation = as_key_record_error(read_rotation(opened.body()));
  if (!rotation) return rotation;
  MLXGUARD_TRY(opened.verify({&rotation->old_key, &rotation->new_key}));
  return rotation;
}

Result<std::string> write_use_count(const UseCount& count, const Signer& signer) {
  JsonWriter json;
  json.begin_object().key("uses").unsigned_integer(count.uses);
  write_optional_time(json, "last", count.last);
  json.end_object();
  return write_signed(kUsesType, json.text(), {&signer});
}

Result<UseCount> parse_use_count(std::string_view text, const EcPublicKey& key) {
  MLXGUARD_TRY_ASSIGN(const SignedRecord opened, SignedRecord::parse(text, kUsesType));
  MLXGUARD_TRY(opened.verify({&key}));
  return as_key_record_error(read_use_count(opened.body()));
}

// ---- standing of one key
// ---------------------------------------------------------------------------

std::string_view name_of(KeyState state) {
  constexpr std::array<std::string_view, 5> kNames{"active", "rotated", "not_yet_valid", "expired",
                                                   "revoked"};
  return kNames[static_cast<std::size_t>(state)];
}

std::optional<WallTime> KeyStatus::not_after() const {
  std::optional<WallTime> end = record ? record->not_after : std::nullopt;
  if (rotation && rotation->old_valid_until && (!end || *rotation->old_valid_until < *end)) {
    end = rotation->old_valid_until;
  }
  return end;
}

KeyState KeyStatus::state(WallTime now) const {
  if (revocation) return KeyState::kRevoked;
  if (const auto end = not_after(); end && now > *end) return KeyState::kExpired;
  if (record && now < record->not_before) return KeyState::kNotYetValid;
  return rotation ? KeyState::kRotated : KeyState::kActive;
}

Result<void> KeyStatus::check_verify(WallTime now) const {
  switch (state(now)) {
    case KeyState::kRevoked: {
      std::string said = "the key was revoked on " + time_text(revocation->at);
      if (!revocation->reason.empty()) said += ": " + revocation->reason;
      return make_error(ErrorCode::kKeyRevoked, std::move(said))
          .hinting("what it signed has to be signed again, by a key that is trusted");
    }
    case KeyState::kExpired:
      return expired("the key's validity window is over", not_after(), now);
    case KeyState::kNotYetValid:
      return expired("the key's validity window has not begun", record->not_before, now);
    case KeyState::kActive:
    case KeyState::kRotated:
      return {};
  }
  return make_error(ErrorCode::kInternal, "a key state of no kind");
}

Result<void> KeyStatus::check_sign(WallTime now) const {
  MLXGUARD_TRY(check_verify(now));
  if (!rotation) return {};
  return make_error(ErrorCode::kKeyExpired, "the key was replaced by a new one")
      .compared("key " + rotation->new_key.fingerprint(), "the key that it replaced")
      .hinting("sign with its successor; `mlxguard key list` names it");
}

}  // namespace mlxguard::trust
