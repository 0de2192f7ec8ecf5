// SPDX-License-Identifier: Apache-2.0
#include "signature/signer.h"

#include <optional>
#include <span>

#include "base/check.h"

namespace mlxguard::signature {
namespace {

trust::Signer signer_of(const TrustedKey& key) {
  trust::Signer signer;
  signer.kind = trust::Signer::Kind::kKey;
  signer.fingerprint = key.key.fingerprint();
  signer.name = key.name;
  return signer;
}

enum class Encoding : std::uint8_t { kCurrent, kLegacy };

/// What of this bundle the key has signed, if anything. Release 0.2.0 hashed with SHA-256 whatever
/// the curve; its successors believe it with the curve's own digest too.
std::optional<Encoding> signed_by(const crypto::EcPublicKey& key, const Bundle& bundle,
                                  LegacyStatements legacy) {
  if (key.verify(pre_authentication_encoding(bundle.payload), bundle.signature)) {
    return Encoding::kCurrent;
  }
  if (legacy == LegacyStatements::kRefused) return std::nullopt;
  const auto once = legacy_encoding(bundle.payload);
  if (crypto::verify_hashed_with_sha256(key, once, bundle.signature) ||
      key.verify(once, bundle.signature)) {
    return Encoding::kLegacy;
  }
  return std::nullopt;
}

void note(Encoding encoding, std::vector<std::string>* legacy_forms) {
  if (encoding == Encoding::kLegacy && legacy_forms != nullptr) {
    legacy_forms->emplace_back(kLegacyEncoding);
  }
}

/// The signature may be good; the key that made it is not any more. Which it is, is worth saying.
Result<void> check_not_refused(const Bundle& bundle, const TrustedKeys& trusted,
                               LegacyStatements legacy) {
  for (const TrustedKeys::Refused& refused : trusted.refused()) {
    const crypto::EcPublicKey& key = refused.trusted.key;
    const bool made_it = bundle.key_hint ? *bundle.key_hint == key.fingerprint()
                                         : signed_by(key, bundle, legacy).has_value();
    if (!made_it) continue;
    Error why = refused.why;
    return std::move(why).with("signed by key", refused.trusted.name);
  }
  return {};
}

/// Under any of the authorities. If none vouches for it, the most telling reason: that it does not
/// end in this authority is true of every authority but one.
Result<trust::Signer> authenticate_certificates(const Bundle& bundle, const TrustedKeys& trusted,
                                                std::vector<std::string>* legacy_forms) {
  if (trusted.authorities().empty()) {
    return make_error(ErrorCode::kMaterialUnsupported,
                      "the bundle is signed with a certificate, and no authority is trusted")
        .hinting("let a source of trust.toml name the authority: mlxguard trust add --ca FILE");
  }
  const auto legacy = legacy_forms == nullptr ? LegacyStatements::kRefused : trusted.legacy();
  std::optional<Error> why;
  for (const crypto::ChainTrust& authority : trusted.authorities()) {
    auto signer = authenticate(bundle, authority, legacy, legacy_forms);
    if (signer) {
      MLXGUARD_TRY(trusted.ring().check_verify(signer->fingerprint, authority.now));
      return signer;
    }
    if (!why || why->code == ErrorCode::kCertificateUntrusted) why = std::move(signer).error();
  }
  return *std::move(why);
}

}  // namespace

Result<trust::Signer> authenticate(const Bundle& bundle, const TrustedKeys& trusted,
                                   std::vector<std::string>* legacy_forms) {
  if (!bundle.certificates.empty()) return authenticate_certificates(bundle, trusted, legacy_forms);
  const auto legacy = legacy_forms == nullptr ? LegacyStatements::kRefused : trusted.legacy();
  MLXGUARD_TRY(check_not_refused(bundle, trusted, legacy));
  if (trusted.keys().empty()) {
    return make_error(ErrorCode::kNoTrustedKeys, "expected a trusted public key, found none")
        .hinting("make a key with `mlxguard key new NAME`, or name the signer's with --public-key");
  }
  if (bundle.key_hint) {
    const TrustedKey* named = trusted.find(*bundle.key_hint);
    const auto encoding = named == nullptr ? std::nullopt : signed_by(named->key, bundle, legacy);
    if (encoding) {
      note(*encoding, legacy_forms);
      return signer_of(*named);
    }
    if (named != nullptr) {
      return make_error(ErrorCode::kSignatureInvalid,
                        "the signature does not verify under the trusted key that it names");
    }
  } else {
    for (const TrustedKey& candidate : trusted.keys()) {
      if (const auto encoding = signed_by(candidate.key, bundle, legacy)) {
        note(*encoding, legacy_forms);
        return signer_of(candidate);
      }
    }
  }
  return make_error(ErrorCode::kSignerUntrusted, "no trusted key made this signature")
      .compared("one of " + std::to_string(trusted.keys().size()) + " trusted keys",
                bundle.key_hint ? *bundle.key_hint : "a key that the bundle does not name")
      .hinting("trust the signer with --public-key FILE, if you know them");
}

Result<trust::Signer> authenticate(const Bundle& bundle, const crypto::ChainTrust& authorities,
                                   LegacyStatements legacy,
                                   std::vector<std::string>* legacy_forms) {
  if (authorities.authorities.empty()) {
    return make_error(ErrorCode::kNoTrustedKeys, "expected a trusted authority, found none")
        .hinting("name the certificate of the authority that you trust");
  }
  std::vector<crypto::Certificate> claimed;
  for (const auto& der : bundle.certificates) {
    MLXGUARD_TRY_ASSIGN(crypto::Certificate certificate, crypto::Certificate::from_der(der));
    claimed.push_back(std::move(certificate));
  }
  MLXGUARD_CHECK(!claimed.empty());
  const crypto::Certificate& leaf = claimed.front();
  MLXGUARD_TRY_ASSIGN(const auto chain,
                      crypto::verify_chain(leaf, std::span(claimed).subspan(1), authorities));
  MLXGUARD_TRY_ASSIGN(const crypto::EcPublicKey key, leaf.public_key());
  const auto encoding = signed_by(key, bundle, legacy);
  if (!encoding) {
    return make_error(ErrorCode::kSignatureInvalid,
                      "the signature does not verify under the certificate's key");
  }
  note(*encoding, legacy_forms);
  trust::Signer signer;
  signer.kind = trust::Signer::Kind::kCertificate;
  signer.fingerprint = key.fingerprint();
  signer.authority = chain.back().fingerprint();
  signer.name = chain.back().subject();
  signer.subject = leaf.subject();
  signer.identities = leaf.identities();
  for (const crypto::Certificate& certificate : chain)
    signer.serials.push_back(certificate.serial());
  return signer;
}

}  // namespace mlxguard::signature
