// SPDX-License-Identifier: Apache-2.0
// What the file name of a wheel or source distribution tells of the package in it.
#pragma once

#include <string>
#include <string_view>

namespace mlxguard::inventory {

struct ArchiveName {
  std::string name, version;
};

/// Of the file at the end of a path or URL; both are empty where it is neither a wheel nor a source
/// distribution with a version that PEP 440 allows.
[[nodiscard]] ArchiveName archive_name(std::string_view place);

}  // namespace mlxguard::inventory
