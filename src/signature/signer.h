// SPDX-License-Identifier: Apache-2.0
// Who made a bundle's signature. The answer is a proof: it exists only after the signature verified
// under something that the operator trusts. What the signer may sign is the trust policy's question.
#pragma once

#include "base/result.h"
#include "signature/bundle.h"
#include "signature/trusted_keys.h"
#include "trust/signer.h"

namespace mlxguard::signature {

/// Errors: kNoTrustedKeys, kSignerUntrusted, kSignatureInvalid.
[[nodiscard]] Result<trust::Signer> authenticate(const Bundle& bundle, const TrustedKeys& trusted);

}  // namespace mlxguard::signature
