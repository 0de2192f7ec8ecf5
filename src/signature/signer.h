// SPDX-License-Identifier: Apache-2.0
// Who made a bundle's signature. The answer is a proof: it exists only after the signature verified
// under something that the operator trusts. What the signer may sign is the trust policy's
// question.
#pragma once

#include "base/result.h"
#include "crypto/certificate.h"
#include "signature/bundle.h"
#include "signature/statement.h"
#include "signature/trusted_keys.h"
#include "trust/signer.h"

namespace mlxguard::signature {

/// By key, or by certificate under one of the authorities. Errors: kNoTrustedKeys,
/// kSignerUntrusted, kSignatureInvalid; for certificates those below, kMaterialUnsupported without
/// any authority, and kKeyRevoked for a certified key that is on the revocation list.
/// `legacy_forms` receives the old forms that the bundle uses, which the caller has to have policy
/// decide upon; without it they are refused.
[[nodiscard]] Result<trust::Signer> authenticate(const Bundle& bundle, const TrustedKeys& trusted,
                                                 std::vector<std::string>* legacy_forms = nullptr);

/// Of a bundle with certificates: the chain first, then the signature under the leaf's key.
/// `legacy` allows the encoding of release 0.2.0. What identity may sign is the caller's question.
/// Errors: those of crypto::verify_chain, kNoTrustedKeys for no authority at all, kKeyFormat,
/// kSignatureInvalid.
[[nodiscard]] Result<trust::Signer> authenticate(const Bundle& bundle,
                                                 const crypto::ChainTrust& authorities,
                                                 LegacyStatements legacy,
                                                 std::vector<std::string>* legacy_forms = nullptr);

/// Names of old forms, as the trust policy has them.
inline constexpr std::string_view kLegacyEncoding = "pae-v0.2";
inline constexpr std::string_view kLegacyStatement = "digests-v0.1";
inline constexpr std::string_view kLegacyMediaType = "media-types";

}  // namespace mlxguard::signature
