// SPDX-License-Identifier: Apache-2.0
#include "signature/bundle.h"

#include <algorithm>
#include <iterator>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"

namespace mlxguard::signature {
namespace {

using codec::JsonKind;
using codec::JsonValue;

/// A leaf, its issuers, and what a signer adds for good measure.
constexpr std::size_t kCertificatesMax = 16;
/// As sigstore/protobuf-specs had them until 0.3; the members that are read here are the same.
constexpr std::string_view kOlderMediaTypes[] = {
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
};

Error field_error(std::string_view member, std::string message) {
  return make_error(ErrorCode::kBundleField, std::move(message)).about(std::string(member));
}

/// The codec's complaint about a member is a malformed bundle; a syntax error keeps its own text.
template <class T>
Result<T> as_field(Result<T> result, std::string_view member) {
  if (result) return result;
  return field_error(member,
                     std::string(name_of(result.error().code)) + ": " + result.error().message);
}

Result<void> only(const JsonValue& value, std::string_view where,
                  std::initializer_list<std::string_view> members) {
  return as_field(value.only_members(members), where);
}

Result<std::optional<std::string>> read_public_key(const JsonValue& key) {
  MLXGUARD_TRY(only(key, "publicKey", {"hint", "rawBytes", "keyDetails"}));
  const auto hint = key.find("hint");
  if (!hint) return std::optional<std::string>{};
  MLXGUARD_TRY_ASSIGN(const std::string_view text, as_field(hint->as_string(), "publicKey.hint"));
  if (text.empty()) return std::optional<std::string>{};
  if (text.size() != 64 || !codec::from_hex(text)) {
    return field_error("publicKey.hint", "expected the hexadecimal SHA-256 of a public key");
  }
  return std::optional<std::string>(text);
}

/// Each bounded by the text they stand in; the leaf first.
Result<std::vector<std::vector<std::uint8_t>>> read_chain(const JsonValue& chain) {
  MLXGUARD_TRY(only(chain, "x509CertificateChain", {"certificates"}));
  MLXGUARD_TRY_ASSIGN(const JsonValue list, as_field(chain.member("certificates"), "certificates"));
  if (!list.is(JsonKind::kArray) || list.size() == 0 || list.size() > kCertificatesMax) {
    return field_error("certificates", "expected one certificate or a few");
  }
  std::vector<std::vector<std::uint8_t>> certificates;
  const auto read_one = [&](std::size_t, JsonValue entry) -> Result<void> {
    MLXGUARD_TRY(only(entry, "certificates[]", {"rawBytes"}));
    MLXGUARD_TRY_ASSIGN(const JsonValue raw, as_field(entry.member("rawBytes"), "rawBytes"));
    MLXGUARD_TRY_ASSIGN(const std::string_view text, as_field(raw.as_string(), "rawBytes"));
    MLXGUARD_TRY_ASSIGN(auto der, as_field(codec::from_base64(text), "rawBytes"));
    certificates.push_back(std::move(der));
    return {};
  };
  MLXGUARD_TRY(list.each_element(read_one));
  return certificates;
}

Result<void> read_material(const JsonValue& material, Material wanted, Bundle& bundle) {
  MLXGUARD_TRY(only(material, "verificationMaterial",
                    {"publicKey", "x509CertificateChain", "certificate", "tlogEntries",
                     "timestampVerificationData"}));
  const auto chain = material.find("x509CertificateChain");
  if (material.find("certificate") || (wanted == Material::kKey && chain)) {
    return make_error(ErrorCode::kMaterialUnsupported,
                      "expected a bundle signed with a key, found one signed with a certificate");
  }
  if (const auto entries = material.find("tlogEntries");
      entries && (!entries->is(JsonKind::kArray) || entries->size() != 0)) {
    return make_error(ErrorCode::kMaterialUnsupported,
                      "expected no transparency log entries beside a key");
  }
  if (const auto stamps = material.find("timestampVerificationData")) {
    MLXGUARD_TRY(only(*stamps, "timestampVerificationData", {"rfc3161Timestamps"}));
    if (const auto list = stamps->find("rfc3161Timestamps");
        list && (!list->is(JsonKind::kArray) || list->size() != 0)) {
      return make_error(ErrorCode::kMaterialUnsupported, "expected no timestamps beside a key");
    }
  }
  if (wanted == Material::kCertificates || (wanted == Material::kEither && chain)) {
    if (!chain || material.find("publicKey")) {
      return make_error(ErrorCode::kMaterialUnsupported,
                        "expected a bundle signed with a certificate, found one signed with a key");
    }
    MLXGUARD_TRY_ASSIGN(bundle.certificates, read_chain(*chain));
    return {};
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue key, as_field(material.member("publicKey"), "publicKey"));
  MLXGUARD_TRY_ASSIGN(bundle.key_hint, read_public_key(key));
  return {};
}

Result<std::vector<std::uint8_t>> read_signature(const JsonValue& envelope) {
  MLXGUARD_TRY_ASSIGN(const JsonValue signatures,
                      as_field(envelope.member("signatures"), "signatures"));
  if (!signatures.is(JsonKind::kArray)) return field_error("signatures", "expected an array");
  if (signatures.size() != 1) {
    return make_error(ErrorCode::kSignatureCount,
                      "expected one signature, found " + std::to_string(signatures.size()));
  }
  std::vector<std::uint8_t> out;
  const auto read_one = [&](std::size_t, JsonValue entry) -> Result<void> {
    MLXGUARD_TRY(only(entry, "signatures[0]", {"sig", "keyid"}));
    if (const auto keyid = entry.find("keyid");
        keyid && !keyid->is(JsonKind::kNull) && !keyid->is(JsonKind::kString)) {
      return field_error("signatures[0].keyid", "expected a string or null");
    }
    MLXGUARD_TRY_ASSIGN(const JsonValue sig, as_field(entry.member("sig"), "signatures[0].sig"));
    MLXGUARD_TRY_ASSIGN(const std::string_view text,
                        as_field(sig.as_string(), "signatures[0].sig"));
    MLXGUARD_TRY_ASSIGN(out, as_field(codec::from_base64(text), "signatures[0].sig"));
    return {};
  };
  MLXGUARD_TRY(signatures.each_element(read_one));
  return out;
}

}  // namespace

Result<Bundle> parse_bundle(std::string_view untrusted_text, Material wanted,
                            OlderMediaTypes older) {
  auto parsed = codec::JsonDocument::parse(
      untrusted_text, {.bytes_max = limits::kBundleBytesMax, .depth_max = limits::kJsonDepthMax});
  if (!parsed) {
    if (parsed.error().code == ErrorCode::kTooLarge) return std::move(parsed).error();
    return make_error(ErrorCode::kBundleSyntax,
                      std::string(name_of(parsed.error().code)) + ": " + parsed.error().message);
  }
  const JsonValue root = parsed->root();
  if (!root.is(JsonKind::kObject)) {
    return make_error(ErrorCode::kBundleSyntax, "expected a JSON object");
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue media, as_field(root.member("mediaType"), "mediaType"));
  MLXGUARD_TRY_ASSIGN(const std::string_view media_type, as_field(media.as_string(), "mediaType"));
  const bool is_older = std::find(std::begin(kOlderMediaTypes), std::end(kOlderMediaTypes),
                                  media_type) != std::end(kOlderMediaTypes);
  if (media_type != kBundleMediaType && !(is_older && older == OlderMediaTypes::kAllowed)) {
    return make_error(ErrorCode::kBundleMediaType, "expected a Sigstore bundle v0.3")
        .compared(std::string(kBundleMediaType), std::string(media_type.substr(0, 128)));
  }
  MLXGUARD_TRY(only(root, "bundle", {"mediaType", "verificationMaterial", "dsseEnvelope"}));
  MLXGUARD_TRY_ASSIGN(const JsonValue material,
                      as_field(root.member("verificationMaterial"), "verificationMaterial"));
  MLXGUARD_TRY_ASSIGN(const JsonValue envelope,
                      as_field(root.member("dsseEnvelope"), "dsseEnvelope"));
  MLXGUARD_TRY(only(envelope, "dsseEnvelope", {"payload", "payloadType", "signatures"}));
  MLXGUARD_TRY_ASSIGN(const JsonValue type,
                      as_field(envelope.member("payloadType"), "payloadType"));
  MLXGUARD_TRY_ASSIGN(const std::string_view payload_type,
                      as_field(type.as_string(), "payloadType"));
  if (payload_type != kPayloadType) {
    return make_error(ErrorCode::kPayloadType, "expected an in-toto statement")
        .compared(std::string(kPayloadType), std::string(payload_type.substr(0, 128)));
  }
  Bundle bundle;
  bundle.older_media_type = is_older;
  MLXGUARD_TRY(read_material(material, wanted, bundle));
  MLXGUARD_TRY_ASSIGN(const JsonValue payload, as_field(envelope.member("payload"), "payload"));
  MLXGUARD_TRY_ASSIGN(const std::string_view text, as_field(payload.as_string(), "payload"));
  MLXGUARD_TRY_ASSIGN(bundle.payload, as_field(codec::from_base64(text), "payload"));
  MLXGUARD_TRY_ASSIGN(bundle.signature, read_signature(envelope));
  return bundle;
}

std::string write_bundle(const Bundle& bundle) {
  codec::JsonWriter json;
  json.begin_object().field("mediaType", kBundleMediaType);
  json.key("verificationMaterial").begin_object();
  if (bundle.certificates.empty()) {
    json.key("publicKey").begin_object().field("hint", bundle.key_hint.value_or("")).end_object();
  } else {
    json.key("x509CertificateChain").begin_object().key("certificates").begin_array();
    for (const auto& der : bundle.certificates) {
      json.begin_object().field("rawBytes", codec::to_base64(der)).end_object();
    }
    json.end_array().end_object();
  }
  json.key("tlogEntries").begin_array().end_array().end_object();
  json.key("dsseEnvelope").begin_object();
  json.field("payload", codec::to_base64(bundle.payload)).field("payloadType", kPayloadType);
  json.key("signatures").begin_array().begin_object();
  json.field("sig", codec::to_base64(bundle.signature)).field("keyid", "");
  json.end_object().end_array().end_object().end_object();
  return std::move(json).take();
}

std::vector<std::uint8_t> legacy_encoding(Bytes payload) {
  // repr() of Python: single quotes, unless there are single quotes inside and no double ones.
  const auto has = [&](char c) {
    return std::find(payload.begin(), payload.end(), static_cast<std::uint8_t>(c)) != payload.end();
  };
  const char quote = has('\'') && !has('"') ? '"' : '\'';
  std::string text = "DSSEV1 " + std::to_string(kPayloadType.size()) + " " +
                     std::string(kPayloadType) + " " + std::to_string(payload.size()) + " b" +
                     quote;
  for (const std::uint8_t byte : payload) {
    const char c = static_cast<char>(byte);
    if (c == quote || c == '\\') {
      text += '\\';
      text += c;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      text += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (byte < 0x20 || byte >= 0x7F) {
      text += "\\x" + codec::to_hex(Bytes(&byte, 1));
    } else {
      text += c;
    }
  }
  text += quote;
  return {text.begin(), text.end()};
}

std::vector<std::uint8_t> pre_authentication_encoding(Bytes payload) {
  const std::string head = "DSSEv1 " + std::to_string(kPayloadType.size()) + " " +
                           std::string(kPayloadType) + " " + std::to_string(payload.size()) + " ";
  std::vector<std::uint8_t> encoded(head.begin(), head.end());
  encoded.insert(encoded.end(), payload.begin(), payload.end());
  return encoded;
}

}  // namespace mlxguard::signature
