// SPDX-License-Identifier: Apache-2.0
// Names that an operator accepts: reasons why it could not be told, and packages.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "inventory/component.h"

namespace mlxguard::advisories {

/// What --accept was given, as ScanOptions takes it: names of reasons and of packages that are in
/// the inventory, separated by commas. Errors: kUsage for any other name that is not ignored.
enum class OtherNames : std::uint8_t { kRefused, kIgnored };
[[nodiscard]] Result<std::set<std::string, std::less<>>> accepted_names(
    const std::vector<std::string>& given, const inventory::Inventory& inventory,
    OtherNames others = OtherNames::kRefused);

}  // namespace mlxguard::advisories
