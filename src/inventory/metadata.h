// SPDX-License-Identifier: Apache-2.0
// METADATA and PKG-INFO: the headers of Python's core metadata. Input: bytes chosen by an attacker.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::inventory {

struct Metadata {
  std::string name;     ///< as written
  std::string version;  ///< as written
  std::string license;  ///< License-Expression, else License when it is one short line
  std::string requires_python;
  std::vector<std::string> requires_dist;
  std::vector<std::string> provides_extra;
  std::vector<std::string> dynamic;
};

/// Only the headers; the description is not looked at.
/// Errors: kUtf8, kTooLarge, kDepsFile (no headers, name or version missing or twice).
[[nodiscard]] Result<Metadata> parse_metadata(std::string_view text);

}  // namespace mlxguard::inventory
