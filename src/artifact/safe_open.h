// SPDX-License-Identifier: Apache-2.0
// Opens files below a folder without following links. openat2 is the mechanism: the kernel refuses "..",
// links and magic links for every component, so there is no window between a check and the open.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard::artifact {

/// A regular file below `root`, for reading. Errors: kArtifactSymlink, kArtifactSpecial, kNotFound,
/// kPermission, kUnsupportedPlatform (a kernel without openat2).
[[nodiscard]] Result<UniqueFd> open_regular(int root, const std::string& name);
/// A folder below `root`; "." is the root itself.
[[nodiscard]] Result<UniqueFd> open_folder(int root, const std::string& name);

}  // namespace mlxguard::artifact
