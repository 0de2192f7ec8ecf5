// SPDX-License-Identifier: Apache-2.0
// CVSS v4.0 scores. Source: FIRST, CVSS v4.0 specification, section 8: the macro vector's score,
// less the mean of what each equivalence set lies below the highest vector of its level. Counted in
// fractions of a tenth, without floating point, so that a half rounds up as the specification says.
#pragma once

#include <optional>
#include <string_view>

namespace mlxguard::advisories {

/// The score of what follows "CVSS:4.0/", with threat and environmental metrics where the vector
/// has them; nothing for one that is malformed.
[[nodiscard]] std::optional<double> cvss4_score(std::string_view metrics);

}  // namespace mlxguard::advisories
