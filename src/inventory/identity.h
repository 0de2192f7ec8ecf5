// SPDX-License-Identifier: Apache-2.0
// Names and package URLs as the inventory writes them: one spelling for one thing.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mlxguard::inventory {

using Qualifiers = std::vector<std::pair<std::string, std::string>>;

/// pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS#SUBPATH, canonical; empty parts are left out.
[[nodiscard]] std::string make_purl(std::string_view type, std::string_view space,
                                    std::string_view name, std::string_view version,
                                    const Qualifiers& qualifiers = {});
[[nodiscard]] std::string pypi_purl(std::string_view name, std::string_view version,
                                    const Qualifiers& qualifiers = {});

/// A signed model: its name, told apart by the digest of its root.
[[nodiscard]] std::string model_purl(std::string_view name, std::string_view root_digest);

struct PurlParts {
  std::string type, space, name, version;
  std::string canonical;  ///< the whole, in one spelling
};
/// Errors: kPurl.
[[nodiscard]] Result<PurlParts> read_purl(std::string_view text);
/// `text` with a version; kept as it is when it has one or is no purl.
[[nodiscard]] std::string with_version(std::string_view text, std::string_view version);

}  // namespace mlxguard::inventory
