// SPDX-License-Identifier: Apache-2.0
// Runs a tool that resolves packages (pip, uv) and takes what it prints. The tool is trusted as far
// as its user trusts it; its output is read within bounds, as foreign text.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mlxguard::cli {

struct ToolOutput {
  int status = 0;  ///< exit status; 128 + N for a signal
  std::string out;
  std::string errors;  ///< the end of standard error
};

/// Name and value of variables that the tool gets besides our own environment: what others must not
/// see on a command line. An empty value takes the variable away.
using ToolVariables = std::vector<std::pair<std::string, std::string>>;

/// Found by PATH unless it has a '/'. It ends with us: on time, with whatever it started, also when
/// we are interrupted or terminated meanwhile. Errors: kResolver (cannot be started, too long, too
/// much output).
[[nodiscard]] Result<ToolOutput> run_tool(const std::vector<std::string>& arguments,
                                          std::chrono::seconds time_max,
                                          const ToolVariables& variables = {});

/// kResolver with the tool's own last words, without credentials, when it failed.
[[nodiscard]] Result<std::string> tool_answer(Result<ToolOutput> ended, const std::string& tool);

}  // namespace mlxguard::cli
