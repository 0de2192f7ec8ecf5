// SPDX-License-Identifier: Apache-2.0
// Reads SPDX 2.2 and 2.3 in JSON into the form that CycloneDX is read into. Input: bytes chosen by
// an attacker. Packages without a package URL stay in it by their name alone.
#pragma once

#include <string_view>

#include "inventory/sbom.h"

namespace mlxguard::inventory {

/// Whether the text looks like SPDX in JSON.
[[nodiscard]] bool is_spdx(std::string_view text);

/// Errors: kSbom, kTooLarge, and the codes of JSON.
[[nodiscard]] Result<Sbom> read_spdx(std::string_view text);

}  // namespace mlxguard::inventory
