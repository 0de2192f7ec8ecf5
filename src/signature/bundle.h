// SPDX-License-Identifier: Apache-2.0
// The OpenSSF Model Signing bundle: Sigstore bundle v0.3 around one DSSE envelope around one
// in-toto statement. Input of parse: bytes chosen by an attacker; nothing here is trusted until the
// signature over pre_authentication_encoding() verifies.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::signature {

inline constexpr std::string_view kBundleMediaType =
    "application/vnd.dev.sigstore.bundle.v0.3+json";
inline constexpr std::string_view kPayloadType = "application/vnd.in-toto+json";

struct Bundle {
  /// SHA-256 (hex) of the signer's PEM; absent in bundles that carry the raw key (model-signing
  /// before 1.1), whose key is never used: only the operator's keys are trusted.
  std::optional<std::string> key_hint;
  /// DER, the leaf first; empty in bundles signed with a key. Only claims until verify_chain().
  std::vector<std::vector<std::uint8_t>> certificates{};
  std::vector<std::uint8_t> payload;    ///< the statement, exactly as signed
  std::vector<std::uint8_t> signature;  ///< DER ECDSA
  bool older_media_type = false;        ///< of Sigstore bundles 0.1 to 0.3 as they were first spelt
};

/// Which verification material is asked for.
enum class Material : std::uint8_t { kKey, kCertificates, kEither };

/// Whether the media types of before `bundle.v0.3+json` are read.
enum class OlderMediaTypes : std::uint8_t { kRefused, kAllowed };

/// Strict: unknown members, other media types, any but one signature, and verification material
/// other than the one asked for are refused. Errors: kTooLarge, kBundleSyntax, kBundleMediaType,
/// kBundleField, kMaterialUnsupported, kPayloadType, kSignatureCount.
[[nodiscard]] Result<Bundle> parse_bundle(std::string_view untrusted_text,
                                          Material material = Material::kKey,
                                          OlderMediaTypes older = OlderMediaTypes::kRefused);

[[nodiscard]] std::string write_bundle(const Bundle& bundle);

/// What release 0.2.0 of the Python tool signed in its place: another word at the beginning, and
/// the payload as Python writes bytes in source code. A reader that allows old forms tries it
/// second.
[[nodiscard]] std::vector<std::uint8_t> legacy_encoding(Bytes payload);

/// DSSE v1: what is really signed.
[[nodiscard]] std::vector<std::uint8_t> pre_authentication_encoding(Bytes payload);

}  // namespace mlxguard::signature
