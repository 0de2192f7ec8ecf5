// SPDX-License-Identifier: Apache-2.0
#include "signature/signer.h"

namespace mlxguard::signature {
namespace {

trust::Signer signer_of(const TrustedKey& key) {
  trust::Signer signer;
  signer.kind = trust::Signer::Kind::kKey;
  signer.fingerprint = key.key.fingerprint();
  signer.name = key.name;
  return signer;
}

/// The signature may be good; the key that made it is not any more. Which it is, is worth saying.
Result<void> check_not_refused(const Bundle& bundle, const TrustedKeys& trusted,
                               const std::vector<std::uint8_t>& message) {
  for (const TrustedKeys::Refused& refused : trusted.refused()) {
    const crypto::EcPublicKey& key = refused.trusted.key;
    const bool made_it = bundle.key_hint ? *bundle.key_hint == key.fingerprint()
                                         : key.verify(message, bundle.signature);
    if (!made_it) continue;
    Error why = refused.why;
    return std::move(why).with("signed by key", refused.trusted.name);
  }
  return {};
}

}  // namespace

Result<trust::Signer> authenticate(const Bundle& bundle, const TrustedKeys& trusted) {
  const std::vector<std::uint8_t> message = pre_authentication_encoding(bundle.payload);
  MLXGUARD_TRY(check_not_refused(bundle, trusted, message));
  if (trusted.keys().empty()) {
    return make_error(ErrorCode::kNoTrustedKeys, "expected a trusted public key, found none")
        .hinting("make a key with `mlxguard key new NAME`, or name the signer's with --public-key");
  }
  if (bundle.key_hint) {
    const TrustedKey* named = trusted.find(*bundle.key_hint);
    if (named != nullptr && named->key.verify(message, bundle.signature)) return signer_of(*named);
    if (named != nullptr) {
      return make_error(ErrorCode::kSignatureInvalid,
                        "the signature does not verify under the trusted key that it names");
    }
  } else {
    for (const TrustedKey& candidate : trusted.keys()) {
      if (candidate.key.verify(message, bundle.signature)) return signer_of(candidate);
    }
  }
  return make_error(ErrorCode::kSignerUntrusted, "no trusted key made this signature")
      .compared("one of " + std::to_string(trusted.keys().size()) + " trusted keys",
                bundle.key_hint ? *bundle.key_hint : "a key that the bundle does not name")
      .hinting("trust the signer with --public-key FILE, if you know them");
}

}  // namespace mlxguard::signature
