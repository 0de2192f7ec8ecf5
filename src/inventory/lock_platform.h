// SPDX-License-Identifier: Apache-2.0
// For whom a lock is: platforms by our names, and the terms that are written into the file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inventory/component.h"

namespace mlxguard::inventory {

struct LockPlatform {
  std::string_view name;    ///< ours: "linux-x86_64"
  std::string_view uv;      ///< uv's
  std::string_view marker;  ///< how markers tell it
};

/// Rows of these names, each once. Errors: kUsage for a name that is not known.
[[nodiscard]] Result<std::vector<const LockPlatform*>> lock_platforms(
    const std::vector<std::string>& names);
/// All names, for people.
[[nodiscard]] std::string lock_platform_names();

/// Terms of a set that was resolved for this version of Python (empty: not told) and these
/// platforms (none: this machine's). It may be another set for the next minor version.
[[nodiscard]] LockTerms terms_for(const std::string& python,
                                  const std::vector<const LockPlatform*>& platforms);

}  // namespace mlxguard::inventory
