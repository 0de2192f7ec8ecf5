// SPDX-License-Identifier: Apache-2.0
// Asks pip or uv which files an installation would take. mlxguard resolves nothing itself.
#pragma once

#include <string>
#include <vector>

#include "inventory/lock_write.h"

namespace mlxguard::cli {

struct ResolverOptions {
  std::string tool = "pip";  ///< "pip" or "uv"
  std::string python = "python3";
  std::string platform;  ///< uv's name of another platform than this one; empty: this one
  std::string index_url;        ///< empty: as the tool is configured
  std::string uploaded_before;  ///< RFC 3339: nothing newer is chosen; needs uv
  std::vector<std::string>
      cooled;             ///< packages that this does not hold for: they are in use already
  bool smallest = false;  ///< prefer the lowest version that a requirement allows; needs uv
  bool source_distributions = false;  ///< allowed: their builds run code
  bool dependencies = true;           ///< of what is asked for
};

/// `requirements` are texts of PEP 508; `files` requirements files or pyproject.toml (uv).
/// Errors: kResolver, kUsage.
[[nodiscard]] Result<std::vector<inventory::LockEntry>> resolve(
    const std::vector<std::string>& requirements, const std::vector<std::string>& files,
    const ResolverOptions& options);

}  // namespace mlxguard::cli
