// SPDX-License-Identifier: Apache-2.0
// Judge: one claim before one policy, condition by condition. Pure but for the memory that it is
// given.
#pragma once

#include <string>
#include <vector>

#include "trust/match.h"
#include "trust/policy.h"

namespace mlxguard::trust {

class Judge {
 public:
  Judge(const Policy& policy, const SeenVersions& seen, const Claim& claim, WallTime now)
      : policy_(policy), seen_(seen), claim_(claim), now_(now) {}
  [[nodiscard]] Judgement judge();
  [[nodiscard]] const SourceRule* source() const { return source_; }
  /// Under which the newest version of this model is remembered.
  [[nodiscard]] static std::vector<std::string> memory_keys(const SourceRule& source,
                                                            const Claim& claim);

 private:
  void match();
  void check_models_revoked();
  void check_signers();
  [[nodiscard]] std::optional<Condition> no_standing(const Signer& signer) const;
  void check_standing(std::vector<Signer>& usable);
  void check_rules(const std::vector<Signer>& usable);
  void check_window();
  void check_formats();
  void check_version();
  void check_rollback(const std::string& text);
  void check_findings();
  void check_legacy();
  [[nodiscard]] bool allows(const SignerRule& rule, const Signer& signer) const;
  [[nodiscard]] Condition no_signer(const std::vector<Signer>& usable) const;
  void passed(std::string rule, std::string said);
  void pending(std::string rule, std::string said);
  void failed(Condition condition);

  const Policy& policy_;
  const SeenVersions& seen_;
  const Claim& claim_;
  WallTime now_;
  const SourceRule* source_ = nullptr;
  Judgement out_;
};

}  // namespace mlxguard::trust
