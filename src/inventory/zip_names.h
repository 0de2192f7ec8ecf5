// SPDX-License-Identifier: Apache-2.0
// The zip library shows a NUL in an entry's name as a space; other readers end the name there, so
// that "a.py\0x" is "a.py" for an installer. This looks at the names as they are. Internal to this
// folder.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace mlxguard::inventory {

/// Up to `bytes` bytes at this place; fewer at the end.
using ReadAt = std::function<std::string(std::uint64_t at, std::size_t bytes)>;

/// `names` are those of the directory, in its order, as the library tells them.
/// Errors: kWheel (a name with NUL; a directory that is not found where it must be).
[[nodiscard]] Result<void> check_zip_names(const ReadAt& read, std::uint64_t size,
                                           const std::vector<std::string>& names);

}  // namespace mlxguard::inventory
