// SPDX-License-Identifier: Apache-2.0
#include "trust/holders.h"

#include <algorithm>
#include <optional>

namespace mlxguard::trust {
namespace {

class Pairing {
 public:
  explicit Pairing(const std::vector<Holder>& holders) : holders_(holders) {}

  /// For each holder the signature that stands for a rule, or nothing.
  std::vector<const Signer*> run(std::size_t rules) {
    holder_of_rule_.assign(rules, std::nullopt);
    for (std::size_t holder = 0; holder < holders_.size(); ++holder) {
      tried_.assign(rules, 0);
      static_cast<void>(place(holder));
    }
    std::vector<const Signer*> out(holders_.size(), nullptr);
    for (std::size_t rule = 0; rule < rules; ++rule) {
      if (!holder_of_rule_[rule]) continue;
      for (const auto& [fits, signer] : holders_[*holder_of_rule_[rule]].rules) {
        if (fits == rule) out[*holder_of_rule_[rule]] = signer;
      }
    }
    return out;
  }

 private:
  bool place(std::size_t holder) {  // depth: at most the number of bundles
    for (const auto& [rule, signer] : holders_[holder].rules) {
      if (tried_[rule] != 0) continue;
      tried_[rule] = 1;
      if (!holder_of_rule_[rule] || place(*holder_of_rule_[rule])) {
        holder_of_rule_[rule] = holder;
        return true;
      }
    }
    return false;
  }
  const std::vector<Holder>& holders_;
  std::vector<std::optional<std::size_t>> holder_of_rule_;
  std::vector<char> tried_;
};

}  // namespace

std::vector<Holder> holders_of(const std::vector<Signer>& signers, const KeyRing& ring) {
  std::vector<Holder> holders;
  for (const Signer& signer : signers) {
    std::string line = ring.line_of(signer.fingerprint);
    auto known = std::find_if(holders.begin(), holders.end(),
                              [&](const Holder& holder) { return holder.line == line; });
    if (known == holders.end()) {
      known = holders.insert(holders.end(), Holder{std::move(line), {}, {}});
    }
    known->signatures.push_back(signer);
  }
  return holders;
}

std::vector<const Signer*> pair_off(const std::vector<Holder>& holders, std::size_t rules) {
  return Pairing(holders).run(rules);
}

}  // namespace mlxguard::trust
