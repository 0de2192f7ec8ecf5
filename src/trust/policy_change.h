// SPDX-License-Identifier: Apache-2.0
// Changes trust.toml on disk: one process at a time, on record first, and old or new after a kill.
// A policy that is signed changes only together with its signature.
#pragma once

#include <functional>

#include "crypto/signer.h"
#include "trust/policy.h"
#include "trust/policy_edit.h"

namespace mlxguard::trust {

struct PolicyChange {
  PolicyEdit edit{};
  /// Opens the root key; asked for only when the new text is in order. Empty: the policy is not
  /// signed.
  std::function<Result<std::unique_ptr<crypto::Signer>>()> open_root_key{};
};

struct ChangedPolicy {
  std::uint64_t version = 0;
  bool created = false;  ///< there was no policy before
};

/// `on_record` is called when the new files are ready and nothing has changed yet; an error stops
/// it. Errors: those of edit_policy; kTrustPolicySignature if the places have a root key and the
/// change has none, or another; kTrustPolicyRollback, kTrustPolicySignature if the policy that is
/// there is not the current one.
[[nodiscard]] Result<ChangedPolicy> change_policy(
    const PolicyPlaces& places, const PolicyChange& change, WallTime now,
    const std::function<Result<void>(const ChangedPolicy&)>& on_record);

}  // namespace mlxguard::trust
