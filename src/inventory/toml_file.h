// SPDX-License-Identifier: Apache-2.0
// TOML of lock files, parsed within bounds. Input: text chosen by an attacker. Internal to this
// folder.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

#define TOML_EXCEPTIONS 0
// Its assertions can be reached by bytes of a file ("[="); the check behind each gives an error.
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

namespace mlxguard::inventory {

/// Errors: kDepsFile (with its line), kTooLarge, kUtf8.
[[nodiscard]] Result<toml::table> parse_toml(std::string_view text);

/// "line 12: MESSAGE", kDepsFile.
[[nodiscard]] Error toml_error(const toml::node& node, std::string message);

/// The text of this key, empty where there is none. Errors: kDepsFile where it is no text.
[[nodiscard]] Result<std::string> text_or_empty(const toml::table& table, std::string_view key);
/// The text of this key, which must be there and not be empty.
[[nodiscard]] Result<std::string> required_text(const toml::table& table, std::string_view key);
/// The table or array of this key; null where there is none. Errors: kDepsFile for another type.
[[nodiscard]] Result<const toml::table*> table_at(const toml::table& table, std::string_view key);
[[nodiscard]] Result<const toml::array*> array_at(const toml::table& table, std::string_view key);
/// An element that must be a table.
[[nodiscard]] Result<const toml::table*> as_table(const toml::node& node);

}  // namespace mlxguard::inventory
