// SPDX-License-Identifier: Apache-2.0
#include "trust/signed_record.h"

#include <utility>

#include "base/limits.h"
#include "codec/text.h"

namespace mlxguard::trust {
namespace {

using codec::JsonDocument;
using codec::JsonValue;

Error malformed(std::string message) {
  return make_error(ErrorCode::kKeyRecord, std::move(message));
}

struct Envelope {
  std::string payload;
  std::vector<std::pair<std::string, std::vector<std::uint8_t>>> signatures;
};

Result<Envelope> read_envelope(const JsonValue& root, std::string_view type) {
  MLXGUARD_TRY(root.only_members({"payloadType", "payload", "signatures"}));
  MLXGUARD_TRY_ASSIGN(const JsonValue type_value, root.member("payloadType"));
  MLXGUARD_TRY_ASSIGN(const auto found, type_value.as_string("payloadType"));
  if (found != type) {
    return malformed("expected a record of another type")
        .compared(std::string(type), std::string(found));
  }
  Envelope envelope;
  MLXGUARD_TRY_ASSIGN(const JsonValue payload, root.member("payload"));
  MLXGUARD_TRY_ASSIGN(const auto payload_text, payload.as_string("payload"));
  MLXGUARD_TRY_ASSIGN(const auto bytes, codec::from_base64(payload_text));
  envelope.payload.assign(bytes.begin(), bytes.end());
  MLXGUARD_TRY_ASSIGN(const JsonValue signatures, root.member("signatures"));
  if (!signatures.is(codec::JsonKind::kArray)) return malformed("expected a list of signatures");
  const auto read_signature = [&](std::size_t, JsonValue signature) -> Result<void> {
    MLXGUARD_TRY(signature.only_members({"keyid", "sig"}));
    MLXGUARD_TRY_ASSIGN(const JsonValue key_id, signature.member("keyid"));
    MLXGUARD_TRY_ASSIGN(const auto key_text, key_id.as_string("keyid"));
    MLXGUARD_TRY_ASSIGN(const JsonValue sig, signature.member("sig"));
    MLXGUARD_TRY_ASSIGN(const auto sig_text, sig.as_string("sig"));
    MLXGUARD_TRY_ASSIGN(auto sig_bytes, codec::from_base64(sig_text));
    envelope.signatures.emplace_back(std::string(key_text), std::move(sig_bytes));
    return {};
  };
  MLXGUARD_TRY(signatures.each_element(read_signature));
  return envelope;
}

}  // namespace

Error as_key_record_error(Error error) {
  if (error.code == ErrorCode::kKeyRecord || error.code == ErrorCode::kTooLarge) return error;
  Error record = malformed(std::move(error.message));
  record.subject = std::move(error.subject);
  return record;
}

std::vector<std::uint8_t> signed_bytes(std::string_view type, std::string_view payload) {
  std::string text = "DSSEv1 " + std::to_string(type.size()) + " ";
  text.append(type).append(" ").append(std::to_string(payload.size())).append(" ").append(payload);
  return {text.begin(), text.end()};
}

Result<std::string> write_signed(std::string_view type, std::string_view payload,
                                 std::initializer_list<const crypto::Signer*> signers) {
  codec::JsonWriter json;
  json.begin_object().field("payloadType", type);
  json.field("payload", codec::to_base64(as_bytes(payload))).key("signatures").begin_array();
  const std::vector<std::uint8_t> message = signed_bytes(type, payload);
  for (const crypto::Signer* signer : signers) {
    MLXGUARD_TRY_ASSIGN(const auto signature, signer->sign(message));
    json.begin_object().field("keyid", signer->public_key().fingerprint());
    json.field("sig", codec::to_base64(signature)).end_object();
  }
  json.end_array().end_object();
  return std::move(json).take() + "\n";
}

Result<SignedRecord> SignedRecord::parse(std::string_view text, std::string_view type,
                                         std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return make_error(ErrorCode::kTooLarge, "larger than such a record may be");
  }
  const codec::JsonLimits bounds{bytes_max};
  auto document = as_key_record_error(JsonDocument::parse(text, bounds));
  if (!document) return std::move(document).error();
  auto envelope = as_key_record_error(read_envelope(document->root(), type));
  if (!envelope) return std::move(envelope).error();
  auto body = as_key_record_error(JsonDocument::parse(envelope->payload, bounds));
  if (!body) return std::move(body).error();
  std::vector<Signature> signatures;
  for (auto& [key_id, bytes] : envelope->signatures) {
    signatures.push_back({std::move(key_id), std::move(bytes)});
  }
  return SignedRecord(*std::move(body), signed_bytes(type, envelope->payload),
                      std::move(signatures));
}

Result<void> SignedRecord::verify(std::initializer_list<const crypto::EcPublicKey*> keys) const {
  if (signatures_.size() != keys.size()) {
    return malformed("expected " + std::to_string(keys.size()) + " signatures, found " +
                     std::to_string(signatures_.size()));
  }
  auto signature = signatures_.begin();
  for (const crypto::EcPublicKey* key : keys) {
    if (signature->key_id != key->fingerprint() || !key->verify(message_, signature->bytes)) {
      return malformed("the record's signature does not verify under the key it is about")
          .compared(key->fingerprint(), signature->key_id);
    }
    ++signature;
  }
  return {};
}

}  // namespace mlxguard::trust
