// SPDX-License-Identifier: Apache-2.0
// Who made a bundle's signature. The answer is a proof: it exists only after the signature verified
// under something that the operator trusts. What the signer may sign is the trust policy's question.
#pragma once

#include "base/result.h"
#include "crypto/certificate.h"
#include "signature/bundle.h"
#include "signature/statement.h"
#include "signature/trusted_keys.h"
#include "trust/signer.h"

namespace mlxguard::signature {

/// Errors: kNoTrustedKeys, kSignerUntrusted, kSignatureInvalid.
[[nodiscard]] Result<trust::Signer> authenticate(const Bundle& bundle, const TrustedKeys& trusted);

/// Of a bundle with certificates: the chain first, then the signature under the leaf's key. `legacy` allows
/// the encoding of release 0.2.0. What identity may sign is the caller's question. Errors: those of
/// crypto::verify_chain, kNoTrustedKeys for no authority at all, kKeyFormat, kSignatureInvalid.
[[nodiscard]] Result<trust::Signer> authenticate(const Bundle& bundle,
                                                 const crypto::ChainTrust& authorities,
                                                 LegacyStatements legacy);

}  // namespace mlxguard::signature
