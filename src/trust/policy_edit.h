// SPDX-License-Identifier: Apache-2.0
// Changes to the text of trust.toml: a source more, a source less, the next version. Everything
// else of the text stays as it is, comments too. Text is edited, so the result is read again and
// must be exactly the old policy with the change; else nothing is changed and a person has to.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "trust/policy_file.h"

namespace mlxguard::trust {

/// The tables of one source as TOML. `remark` (may be empty) is written as a comment above.
[[nodiscard]] std::string write_source(const SourceRule& source, std::string_view remark);

struct PolicyEdit {
  std::optional<SourceRule> add{};
  std::string remark{};  ///< comment above what is added
  std::optional<std::string> remove{};
  std::optional<WallTime> expires{};
};

/// The new text, its version one higher. Errors: kTrustSourceExists, kTrustSourceUnknown;
/// kTrustPolicy if the text is no policy, or is written in a way that cannot be edited without
/// changing more.
[[nodiscard]] Result<std::string> edit_policy(std::string_view text,
                                              const std::filesystem::path& folder,
                                              const PolicyEdit& edit);

}  // namespace mlxguard::trust
