// SPDX-License-Identifier: Apache-2.0
// Which source of a policy a model belongs to: always one, and always the same one.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "trust/policy_file.h"

namespace mlxguard::trust {

/// By what a model may be known to a source.
struct Subject {
  std::filesystem::path location;  ///< absolute, without links
  std::string hugging_face;        ///< ORG/NAME or empty
  std::span<const std::string> root_digests;
};

struct Match {
  const SourceRule* source = nullptr;
  std::string pattern;
};

/// The most specific source that matches (the rule is in trust/policy.h).
[[nodiscard]] std::optional<Match> match_source(std::span<const SourceRule> sources,
                                                const Subject& subject);

/// `*` any characters, `?` one; neither crosses a slash.
[[nodiscard]] bool glob_matches(std::string_view pattern, std::string_view text);
/// The folder itself or anything below it, by whole components.
[[nodiscard]] bool is_below(std::string_view path, std::string_view folder);

}  // namespace mlxguard::trust
