// SPDX-License-Identifier: Apache-2.0
// Identifiers of the SPDX licence list, as CycloneDX 1.6 knows them (licences and exceptions).
#pragma once

#include <string_view>

namespace mlxguard::inventory {

[[nodiscard]] bool is_spdx_id(std::string_view id);

/// Whether the text can be an SPDX licence expression: ids, AND, OR, WITH, brackets.
[[nodiscard]] bool looks_like_license_expression(std::string_view text);

}  // namespace mlxguard::inventory
