// SPDX-License-Identifier: Apache-2.0
// Trust: what a model is held against, the operator's keys and policy, read once. Everything that
// loads or verifies a model takes it, and there is no other way to the model line. Trusted: the
// state folder and the configuration; the policy only as far as it is authentic.
#pragma once

#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "record/event.h"
#include "signature/trusted_keys.h"
#include "trust/policy.h"

namespace mlxguard::admission {

class Trust {
 public:
  /// Errors: those of trust::Policy::load and TrustedKeys::load; each is an event `trust.refused`
  /// first.
  [[nodiscard]] static Result<Trust> load(const trust::PolicyPlaces& places, record::Sink& sink,
                                          const Clock& clock);
  /// As it is without a trust.toml: whatever one of these keys signed.
  [[nodiscard]] static Trust of_keys(signature::TrustedKeys keys);

  [[nodiscard]] const trust::Policy& policy() const { return policy_; }
  [[nodiscard]] const signature::TrustedKeys& keys() const { return keys_; }
  /// What a receipt of the store is bound to.
  [[nodiscard]] std::string version() const;

 private:
  Trust(trust::Policy policy, signature::TrustedKeys keys)
      : policy_(std::move(policy)), keys_(std::move(keys)) {}
  trust::Policy policy_;
  signature::TrustedKeys keys_;
};

}  // namespace mlxguard::admission
