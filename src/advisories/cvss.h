// SPDX-License-Identifier: Apache-2.0
// CVSS scores. Source: FIRST, CVSS v2.0 guide and CVSS v3.1 specification (equations of section
// 7.1, Roundup of appendix A); v3.0 differs in the rounding only; v4.0 is in cvss4.h.
#pragma once

#include <optional>
#include <string_view>

namespace mlxguard::advisories {

/// "CVSS:4.0/AV:N/...", "CVSS:3.1/AV:N/..." or "AV:N/AC:L/Au:N/...": of v2 and v3 the base score,
/// of v4 the score of all its metrics. Nothing for a vector that is malformed.
[[nodiscard]] std::optional<double> cvss_score(std::string_view vector);

/// "none", "low", "medium", "high", "critical", as v3.1's section 5 names them.
[[nodiscard]] std::string_view rating_of(double score);

}  // namespace mlxguard::advisories
