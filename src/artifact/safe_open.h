// SPDX-License-Identifier: Apache-2.0
// Opens files below a folder, without following links or following only those that stay below it.
// openat2 is the mechanism: the kernel refuses what leaves the folder, and magic links, for every
// component, so there is no window between a check and the open.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard::artifact {

/// Symbolic links inside a model: refused, or followed as long as they stay inside of it.
enum class Links : std::uint8_t { kRefused, kFollowedInside };

/// A regular file below `root`, for reading. Errors: kArtifactSymlink, kArtifactSpecial, kNotFound,
/// kPermission, kUnsupportedPlatform (a kernel without openat2).
[[nodiscard]] Result<UniqueFd> open_regular(int root, const std::string& name,
                                            Links links = Links::kRefused);
/// Whatever is below `root` under this name, only to look at (O_PATH), links inside followed.
/// Errors: kArtifactSymlink for a link that leaves the root, leads nowhere or in a circle.
[[nodiscard]] Result<UniqueFd> open_below_any(int root, const std::string& name);
/// A folder below `root`; "." is the root itself.
[[nodiscard]] Result<UniqueFd> open_folder(int root, const std::string& name,
                                           Links links = Links::kRefused);

}  // namespace mlxguard::artifact
