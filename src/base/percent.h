// SPDX-License-Identifier: Apache-2.0
// Percent-encoding (RFC 3986, section 2.1): %XX with upper-case digits, byte by byte.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mlxguard {

/// Letters and digits of ASCII stay as they are, and so do the characters of `plain`, which differ
/// by where in a URI the text will stand.
[[nodiscard]] std::string percent_encode(std::string_view text, std::string_view plain);

/// Each %XX, with digits of either case, as the byte it stands for; every other character as it is.
/// Nothing if two hexadecimal digits do not follow a '%'. What may stand in the text unescaped, and
/// which bytes it may come to, differs by where it stood: that is the caller's to check.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);

}  // namespace mlxguard
