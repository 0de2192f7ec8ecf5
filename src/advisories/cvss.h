// SPDX-License-Identifier: Apache-2.0
// CVSS base scores. Source: FIRST, CVSS v2.0 guide and CVSS v3.1 specification (equations of
// section 7.1, Roundup of appendix A); v3.0 differs in the rounding only. CVSS v4.0 scores come
// from a table of 270 macro vectors that is not here: such a vector is shown without a number.
#pragma once

#include <optional>
#include <string_view>

namespace mlxguard::advisories {

/// "CVSS:3.1/AV:N/..." or "AV:N/AC:L/Au:N/..."; nothing for a vector that is malformed or of v4.
[[nodiscard]] std::optional<double> cvss_base_score(std::string_view vector);

/// "none", "low", "medium", "high", "critical", as v3.1's section 5 names them.
[[nodiscard]] std::string_view rating_of(double score);

}  // namespace mlxguard::advisories
