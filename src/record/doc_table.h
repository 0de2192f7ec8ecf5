// SPDX-License-Identifier: Apache-2.0
// The table of kinds as documentation: docs/events.md holds its output, and a test says when it is
// old.
#pragma once

#include <string>

namespace mlxguard::record {

/// Markdown, with a line end after every row.
[[nodiscard]] std::string markdown_table_of_kinds();
[[nodiscard]] std::string markdown_table_of_attributes();

}  // namespace mlxguard::record
