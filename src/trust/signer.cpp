// SPDX-License-Identifier: Apache-2.0
#include "trust/signer.h"

namespace mlxguard::trust {

std::string describe(const Signer& signer) {
  constexpr std::size_t kShown = 8;  // enough for a person to compare
  if (signer.kind == Signer::Kind::kKey) {
    return "key " + signer.name + " (" + signer.fingerprint.substr(0, kShown) + ")";
  }
  const std::string who = signer.identities.empty() ? signer.subject : signer.identities.front();
  return "certificate of " + who + " by " + signer.name + " (" +
         signer.authority.substr(0, kShown) + ")";
}

}  // namespace mlxguard::trust
