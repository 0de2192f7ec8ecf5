// SPDX-License-Identifier: Apache-2.0
// Percent-encoding (RFC 3986, section 2.1): %XX with upper-case digits, byte by byte.
#pragma once

#include <string>
#include <string_view>

namespace mlxguard {

/// Letters and digits of ASCII stay as they are, and so do the characters of `plain`, which differ
/// by where in a URI the text will stand.
[[nodiscard]] std::string percent_encode(std::string_view text, std::string_view plain);

}  // namespace mlxguard
