// SPDX-License-Identifier: Apache-2.0
// Files that decide what is trusted: read if no one else could have written them, replaced in one
// step.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard::trust {

/// A regular file of this user or of root that neither group nor others can write, in a folder of
/// which the same is true. Errors: kNotFound, kUnsafePermissions, kTooLarge.
[[nodiscard]] Result<std::string> read_trusted_file(const std::filesystem::path& file,
                                                    std::size_t bytes_max);
/// Readers see the old content or the new; durable on return. A link's target is replaced, not the
/// link. What a killed process left unfinished is overwritten by the next. One process at a time:
/// folder_lock.
[[nodiscard]] Result<void> replace_trusted_file(const std::filesystem::path& file,
                                                std::string_view content);
/// Waits until no other process holds the folder, and holds it as long as the descriptor lives.
[[nodiscard]] Result<UniqueFd> folder_lock(const std::filesystem::path& folder);

}  // namespace mlxguard::trust
