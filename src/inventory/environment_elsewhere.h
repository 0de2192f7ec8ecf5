// SPDX-License-Identifier: Apache-2.0
// Packages that Python imports from an environment and that stand in none of its dist-infos: each
// is said to be unread, so that no scan calls it clean.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "inventory/builder.h"
#include "inventory/distribution.h"
#include "inventory/environment.h"

namespace mlxguard::inventory {

/// The packages of another Python, or of another installer, that come with this place.
void observe_elsewhere(const EnvironmentPlace& place, Builder& builder);

/// Older forms of an installed package (egg, egg-link), whose name and version are told elsewhere.
void observe_egg(const std::string& path, Builder& builder);

/// Packages in the folders that a .pth file in `site` adds, of which no known distribution tells.
void observe_added_folders(const std::filesystem::path& site, const std::string& path,
                           std::string_view text, std::span<const Distribution> known,
                           Builder& builder);

}  // namespace mlxguard::inventory
