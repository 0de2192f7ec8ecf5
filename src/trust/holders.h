// SPDX-License-Identifier: Apache-2.0
// Holders: how many different people signed, which is what a threshold asks. Keys and certificates
// are many; who holds them counts once.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "trust/key_ring.h"
#include "trust/signer.h"

namespace mlxguard::trust {

/// Whoever signed, with everything that is theirs: a key and its certificates, and the keys that
/// they rotated one to the next. However many of them signed, they are one signer.
struct Holder {
  std::string line;  ///< of KeyRing::line_of
  std::vector<Signer> signatures;
  /// For each rule that one of them fits, the first that does.
  std::vector<std::pair<std::size_t, const Signer*>> rules;
};

/// In the order of their first signatures.
[[nodiscard]] std::vector<Holder> holders_of(const std::vector<Signer>& signers,
                                             const KeyRing& ring);

/// Pairs off as many holders and rules as can be: one holder never fills two places, and two keys
/// of one rule (two certificates of one identity) never do either. For each holder the signature
/// that stands for its rule, or nullptr.
[[nodiscard]] std::vector<const Signer*> pair_off(const std::vector<Holder>& holders,
                                                  std::size_t rules);

}  // namespace mlxguard::trust
