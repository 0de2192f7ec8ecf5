// SPDX-License-Identifier: Apache-2.0
// A look at TOML text before its parser sees it. toml++ 3 has undefined behaviour for some
// characters beyond ASCII where it expects spaces or keys; TOML allows them in strings and comments
// only, so elsewhere they are refused here. Input: bytes chosen by an attacker.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mlxguard::codec {

/// The line (from 1) of the first byte that is neither ASCII nor in a string or comment, or that is
/// no UTF-8 anywhere, or that follows the backslash at the end of a line; nothing if all is well.
/// What the strings are is the parser's to say: where this ends one earlier than it does, more is
/// refused, never less.
[[nodiscard]] std::optional<std::size_t> find_stray_character(std::string_view toml);

/// The same text with every byte beyond ASCII as '?': what toml++ refuses of it must not be given
/// to it as it is, since it looks for spaces in what it cannot read. What it accepts has those
/// bytes in strings and comments, where it does not look.
[[nodiscard]] std::string toml_in_ascii(std::string_view toml);

}  // namespace mlxguard::codec
