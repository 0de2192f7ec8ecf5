// SPDX-License-Identifier: Apache-2.0
// Runs a tool that resolves packages (pip, uv) and takes what it prints. The tool is trusted as far
// as its user trusts it; its output is read within bounds, as foreign text.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"

namespace mlxguard::cli {

struct ToolOutput {
  int status = 0;  ///< exit status; 128 + N for a signal
  std::string out;
  std::string errors;  ///< the end of standard error
};

/// Found by PATH unless it has a '/'. Errors: kResolver (cannot be started, too long, too much
/// output).
[[nodiscard]] Result<ToolOutput> run_tool(const std::vector<std::string>& arguments,
                                          std::chrono::seconds time_max);

/// kResolver with the tool's own last words, when it failed.
[[nodiscard]] Result<std::string> tool_answer(Result<ToolOutput> ended, const std::string& tool);

}  // namespace mlxguard::cli
