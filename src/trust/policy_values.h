// SPDX-License-Identifier: Apache-2.0
// The values of trust.toml: read from TOML, checked, in one spelling. Beside policy_file.cpp, which
// says where they may stand.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "trust/policy_file.h"

#define TOML_EXCEPTIONS 0
// Its assertions can be reached by bytes of a file ("[="); the check behind each gives an error.
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

namespace mlxguard::trust {

[[nodiscard]] Error wrong_value(std::string_view expected);
[[nodiscard]] Error unknown_key(const toml::node& value, const std::string& full_name);
/// Adds line and key, innermost first.
[[nodiscard]] Error at_key(Error error, const toml::node& value, const std::string& full_name);

/// One bounded text without control characters.
[[nodiscard]] Result<std::string> read_text(const toml::node& value);
/// A text, or an array of texts, each different from the others.
[[nodiscard]] Result<std::vector<std::string>> read_texts(const toml::node& value);
/// A TOML date or date-time with its offset, or a text in RFC 3339. A date is its first moment in
/// UTC.
[[nodiscard]] Result<WallTime> read_time(const toml::node& value);

/// Absolute, without "." and ".." and a slash at the end.
[[nodiscard]] Result<std::string> normal_path(std::string_view text,
                                              const std::filesystem::path& folder);
[[nodiscard]] Result<void> check_hugging_face_pattern(std::string_view text);
[[nodiscard]] Result<void> check_digest(std::string_view text);
/// A rule's id, or "severity:LEVEL".
[[nodiscard]] Result<void> check_finding_pattern(std::string_view text);
[[nodiscard]] Result<void> check_window(const Window& window);

}  // namespace mlxguard::trust
