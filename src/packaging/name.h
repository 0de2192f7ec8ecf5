// SPDX-License-Identifier: Apache-2.0
// Names of Python packages. Two spellings of one name must never look like two packages.
#pragma once

#include <string>
#include <string_view>

namespace mlxguard::packaging {

/// As PEP 508 allows it: ASCII letters, digits, '.', '_', '-', not first or last.
[[nodiscard]] bool is_name(std::string_view name);

/// PEP 503: lowercase, each run of '-', '_', '.' a single '-'. Any text; is_name() says if it is
/// one.
[[nodiscard]] std::string normalize_name(std::string_view name);

}  // namespace mlxguard::packaging
