// SPDX-License-Identifier: Apache-2.0
// The revocation list (trust/key_records.h): a chain of entries, each signed for itself.
#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "trust/key_records.h"
#include "trust/signed_record.h"

namespace mlxguard::trust {
namespace {

using codec::JsonValue;

constexpr std::string_view kListType = "application/vnd.mlxguard.revocations.v1+json";
constexpr std::string_view kEntryType = "application/vnd.mlxguard.revocation.v1+json";
constexpr std::size_t kFingerprintChars = 64;

Error malformed(std::string message) {
  return make_error(ErrorCode::kKeyRecord, std::move(message));
}

bool is_fingerprint(std::string_view text) {
  return text.size() == kFingerprintChars && codec::from_hex(text).has_value();
}

/// What one entry says. `public_key` is there when the key signs its own revocation: the
/// fingerprint is the digest of that text, so that it needs no other proof.
struct Claim {
  std::uint64_t version = 0;
  std::string previous;
  Revocation revocation;
  std::string public_key;
};

std::string write_claim(const Claim& claim) {
  codec::JsonWriter json;
  json.begin_object().key("version").unsigned_integer(claim.version);
  json.field("previous", claim.previous).field("fingerprint", claim.revocation.fingerprint);
  if (!claim.public_key.empty()) json.field("public_key", claim.public_key);
  json.field("reason", claim.revocation.reason);
  json.field("at", codec::to_rfc3339(claim.revocation.at.time_since_epoch().count()));
  json.field("signer", claim.revocation.signer).end_object();
  return std::move(json).take();
}

Result<std::string> member_text(const JsonValue& object, std::string_view name) {
  MLXGUARD_TRY_ASSIGN(const JsonValue value, object.member(name));
  MLXGUARD_TRY_ASSIGN(const auto text, value.as_string(name));
  return std::string(text);
}

Result<Claim> read_claim(const JsonValue& body) {
  MLXGUARD_TRY(body.only_members(
      {"version", "previous", "fingerprint", "public_key", "reason", "at", "signer"}));
  Claim claim;
  MLXGUARD_TRY_ASSIGN(const JsonValue version, body.member("version"));
  MLXGUARD_TRY_ASSIGN(claim.version, version.as_uint64("version"));
  MLXGUARD_TRY_ASSIGN(claim.previous, member_text(body, "previous"));
  MLXGUARD_TRY_ASSIGN(claim.revocation.fingerprint, member_text(body, "fingerprint"));
  if (!is_fingerprint(claim.revocation.fingerprint)) return malformed("expected a fingerprint");
  if (body.find("public_key")) {
    MLXGUARD_TRY_ASSIGN(claim.public_key, member_text(body, "public_key"));
  }
  MLXGUARD_TRY_ASSIGN(claim.revocation.reason, member_text(body, "reason"));
  if (claim.revocation.reason.size() > limits::kKeyReasonBytesMax) {
    return malformed("a reason that is too long");
  }
  MLXGUARD_TRY_ASSIGN(const std::string at, member_text(body, "at"));
  MLXGUARD_TRY_ASSIGN(const std::int64_t milliseconds, codec::from_rfc3339(at));
  claim.revocation.at = WallTime(std::chrono::milliseconds(milliseconds));
  MLXGUARD_TRY_ASSIGN(claim.revocation.signer, member_text(body, "signer"));
  return claim;
}

/// The key that an entry's signature has to verify under.
Result<crypto::EcPublicKey> signer_of(const Claim& claim, const RevocationList& so_far,
                                      const RevocationList::FindKey& trusted) {
  const Revocation& said = claim.revocation;
  if (said.signer == said.fingerprint && !claim.public_key.empty()) {
    MLXGUARD_TRY_ASSIGN(crypto::EcPublicKey key, crypto::EcPublicKey::from_pem(claim.public_key));
    if (key.fingerprint() == said.fingerprint && key.pem() == claim.public_key) return key;
    return malformed("a revocation whose public key is another than the revoked one");
  }
  if (so_far.find(said.signer) != nullptr) {
    return malformed("a revocation signed by a key that was revoked before").about(said.signer);
  }
  if (auto key = trusted(said.signer)) return *std::move(key);
  return malformed("a revocation signed by a key that is not trusted here")
      .about(said.signer)
      .hinting("put that key's public half into the key folder, if you know who holds it");
}

}  // namespace

const Revocation* RevocationList::find(std::string_view fingerprint) const {
  const auto found = std::find_if(revocations_.begin(), revocations_.end(),
                                  [&](const auto& one) { return one.fingerprint == fingerprint; });
  return found == revocations_.end() ? nullptr : &*found;
}

bool RevocationList::continues(std::uint64_t older_version, std::string_view older_head) const {
  if (older_version == 0) return older_head.empty();
  return older_version <= heads_.size() && heads_[older_version - 1] == older_head;
}

Result<RevocationList> RevocationList::parse(std::string_view text, const FindKey& trusted) {
  if (text.size() > limits::kRevocationListBytesMax) {
    return make_error(ErrorCode::kTooLarge, "larger than a revocation list may be");
  }
  auto document = as_key_record_error(codec::JsonDocument::parse(text));
  if (!document) return std::move(document).error();
  RevocationList list;
  const auto read_entry = [&](std::size_t, JsonValue value) -> Result<void> {
    if (list.entries_.size() >= limits::kRevocationsMax) return malformed("too many revocations");
    MLXGUARD_TRY(value.only_members({"payload", "keyid", "sig"}));
    MLXGUARD_TRY_ASSIGN(const std::string payload, member_text(value, "payload"));
    MLXGUARD_TRY_ASSIGN(const auto payload_bytes, codec::from_base64(payload));
    Entry entry;
    entry.payload.assign(payload_bytes.begin(), payload_bytes.end());
    MLXGUARD_TRY_ASSIGN(entry.signer, member_text(value, "keyid"));
    MLXGUARD_TRY_ASSIGN(entry.signature, member_text(value, "sig"));
    MLXGUARD_TRY_ASSIGN(const auto body, codec::JsonDocument::parse(entry.payload));
    MLXGUARD_TRY_ASSIGN(Claim claim, read_claim(body.root()));
    if (claim.version != list.version() + 1 || claim.previous != list.head_) {
      return malformed("a revocation is missing, or not in its place");
    }
    if (claim.revocation.signer != entry.signer) return malformed("a revocation names two signers");
    if (list.find(claim.revocation.fingerprint) != nullptr) return malformed("a key revoked twice");
    MLXGUARD_TRY_ASSIGN(const auto key, signer_of(claim, list, trusted));
    MLXGUARD_TRY_ASSIGN(const auto signature, codec::from_base64(entry.signature));
    if (!key.verify(signed_bytes(kEntryType, entry.payload), signature)) {
      return malformed("a revocation's signature does not verify").about(entry.signer);
    }
    list.head_ = codec::to_hex(crypto::sha256(as_bytes(entry.payload)));
    list.heads_.push_back(list.head_);
    list.entries_.push_back(std::move(entry));
    list.revocations_.push_back(std::move(claim.revocation));
    return {};
  };
  const auto read_list = [&]() -> Result<void> {
    const JsonValue root = document->root();
    MLXGUARD_TRY(root.only_members({"mediaType", "entries"}));
    MLXGUARD_TRY_ASSIGN(const std::string type, member_text(root, "mediaType"));
    if (type != kListType)
      return malformed("expected a revocation list").compared(std::string(kListType), type);
    MLXGUARD_TRY_ASSIGN(const JsonValue entries, root.member("entries"));
    if (!entries.is(codec::JsonKind::kArray) || entries.size() == 0) {
      return malformed("expected a list with an entry");
    }
    return entries.each_element(read_entry);
  };
  if (auto read = read_list(); !read) return as_key_record_error(std::move(read).error());
  return list;
}

Result<void> RevocationList::add(std::string_view fingerprint, std::string_view reason, WallTime at,
                                 const crypto::Signer& signer) {
  const crypto::EcPublicKey& key = signer.public_key();
  if (!is_fingerprint(fingerprint)) return malformed("expected a fingerprint");
  if (find(fingerprint) != nullptr) {
    return make_error(ErrorCode::kKeyRevoked, "the key is on the revocation list already")
        .about(std::string(fingerprint));
  }
  if (find(key.fingerprint()) != nullptr) {
    return make_error(ErrorCode::kKeyRevoked, "a revoked key cannot revoke another")
        .about(key.fingerprint());
  }
  if (entries_.size() >= limits::kRevocationsMax || reason.size() > limits::kKeyReasonBytesMax ||
      !codec::is_utf8(reason)) {
    return make_error(ErrorCode::kTooLarge, "expected a reason of up to " +
                                                std::to_string(limits::kKeyReasonBytesMax) +
                                                " bytes of UTF-8, and a list that has room");
  }
  Claim claim;
  claim.version = version() + 1;
  claim.previous = head_;
  claim.revocation = {std::string(fingerprint), std::string(reason), at, key.fingerprint()};
  if (key.fingerprint() == fingerprint) claim.public_key = key.pem();
  Entry entry{write_claim(claim), key.fingerprint(), {}};
  MLXGUARD_TRY_ASSIGN(const auto signature, signer.sign(signed_bytes(kEntryType, entry.payload)));
  entry.signature = codec::to_base64(signature);
  head_ = codec::to_hex(crypto::sha256(as_bytes(entry.payload)));
  heads_.push_back(head_);
  entries_.push_back(std::move(entry));
  revocations_.push_back(std::move(claim.revocation));
  return {};
}

std::string RevocationList::text() const {
  codec::JsonWriter json;
  json.begin_object().field("mediaType", kListType).key("entries").begin_array();
  for (const Entry& entry : entries_) {
    json.begin_object().field("payload", codec::to_base64(as_bytes(entry.payload)));
    json.field("keyid", entry.signer).field("sig", entry.signature).end_object();
  }
  json.end_array().end_object();
  return std::move(json).take() + "\n";
}

}  // namespace mlxguard::trust
