// SPDX-License-Identifier: Apache-2.0
#include "trust/policy_signature.h"

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "trust/signed_record.h"

namespace mlxguard::trust {
namespace {

using codec::JsonValue;

constexpr std::string_view kType = "application/vnd.mlxguard.trust-policy+toml";

Error malformed(std::string message) {
  return make_error(ErrorCode::kTrustPolicySignature, std::move(message));
}

Result<PolicySignature> read_signature(const JsonValue& value) {
  MLXGUARD_TRY(value.only_members({"publicKey", "sig"}));
  PolicySignature signature;
  MLXGUARD_TRY_ASSIGN(const JsonValue key, value.member("publicKey"));
  MLXGUARD_TRY_ASSIGN(const std::string_view pem, key.as_string("publicKey"));
  signature.public_key = pem;
  MLXGUARD_TRY_ASSIGN(const JsonValue sig, value.member("sig"));
  MLXGUARD_TRY_ASSIGN(const std::string_view text, sig.as_string("sig"));
  MLXGUARD_TRY_ASSIGN(signature.signature, codec::from_base64(text));
  return signature;
}

Result<std::vector<PolicySignature>> read_signatures(const JsonValue& root) {
  MLXGUARD_TRY(root.only_members({"payloadType", "signatures"}));
  MLXGUARD_TRY_ASSIGN(const JsonValue type, root.member("payloadType"));
  MLXGUARD_TRY_ASSIGN(const std::string_view type_text, type.as_string("payloadType"));
  if (type_text != kType) return malformed("expected the signature of a trust policy");
  MLXGUARD_TRY_ASSIGN(const JsonValue list, root.member("signatures"));
  if (!list.is(codec::JsonKind::kArray) || list.size() == 0 || list.size() > kPolicySignaturesMax) {
    return malformed("expected one or two signatures");
  }
  std::vector<PolicySignature> signatures;
  MLXGUARD_TRY(list.each_element([&](std::size_t, JsonValue value) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(PolicySignature signature, read_signature(value));
    signatures.push_back(std::move(signature));
    return {};
  }));
  return signatures;
}

}  // namespace

std::filesystem::path signature_file_of(const std::filesystem::path& policy_file) {
  return policy_file.string() + ".sig";
}

Result<PolicySignature> sign_policy(std::string_view policy_text, const crypto::Signer& root_key) {
  PolicySignature signature;
  signature.public_key = root_key.public_key().pem();
  MLXGUARD_TRY_ASSIGN(signature.signature, root_key.sign(signed_bytes(kType, policy_text)));
  return signature;
}

std::string write_policy_signatures(const std::vector<PolicySignature>& signatures) {
  codec::JsonWriter json;
  json.begin_object().field("payloadType", kType).key("signatures").begin_array();
  for (const PolicySignature& signature : signatures) {
    json.begin_object().field("publicKey", signature.public_key);
    json.field("sig", codec::to_base64(signature.signature)).end_object();
  }
  json.end_array().end_object();
  return std::move(json).take() + "\n";
}

Result<std::vector<PolicySignature>> parse_policy_signatures(std::string_view text) {
  auto document =
      codec::JsonDocument::parse(text, {.bytes_max = limits::kKeyRecordBytesMax, .depth_max = 8});
  if (!document && document.error().code == ErrorCode::kTooLarge)
    return std::move(document).error();
  auto read = document ? read_signatures(document->root())
                       : Result<std::vector<PolicySignature>>(document.error());
  if (!read && read.error().code != ErrorCode::kTrustPolicySignature) {
    return malformed("the policy's signature is malformed: " + read.error().message);
  }
  return read;
}

Result<std::vector<crypto::EcPublicKey>> policy_signers(
    std::string_view policy_text, const std::vector<PolicySignature>& signatures) {
  const std::vector<std::uint8_t> message = signed_bytes(kType, policy_text);
  std::vector<crypto::EcPublicKey> keys;
  for (const PolicySignature& signature : signatures) {
    auto key = crypto::EcPublicKey::from_pem(signature.public_key);
    if (key && key->verify(message, signature.signature)) keys.push_back(*std::move(key));
  }
  if (keys.empty()) return malformed("the policy's signature is not over this text");
  return keys;
}

Result<std::string> check_root(std::span<const crypto::EcPublicKey> signers,
                               const std::string& root_key, const KeyRing& ring, WallTime now) {
  std::string expected = root_key;
  for (std::size_t step = 0; step <= ring.keys().size(); ++step) {
    for (const crypto::EcPublicKey& key : signers) {
      if (key.fingerprint() != expected) continue;
      if (auto good = ring.check_verify(expected, now); !good) {
        return std::move(good).error().with("the policy's root key");
      }
      return expected;
    }
    const RingKey* from = ring.find(expected);
    if (from == nullptr || !from->status.rotation || from->status.revocation) break;
    expected = from->status.rotation->new_key.fingerprint();
  }
  return make_error(ErrorCode::kTrustPolicySignature, "the policy is signed by another key")
      .compared(root_key, signers.front().fingerprint());
}

}  // namespace mlxguard::trust
