// SPDX-License-Identifier: Apache-2.0
// The command line of `mlxguard serve`, laid over mlxguard.toml.
#pragma once

#include <string>

#include "base/result.h"
#include "config/config.h"

namespace mlxguard::supervisor {

enum class Output : std::uint8_t { kText, kJson };

struct ServeOptions {
  config::ServeConfig config;
  Output output = Output::kText;
};

/// What the command line asked for: options, or a text to print (help) and an exit status.
struct Parsed {
  std::optional<ServeOptions> options;
  std::string text;
  int exit_status = 0;
};

[[nodiscard]] Result<Parsed> parse_command_line(int argc, const char* const* argv,
                                                const config::Environment& environment);

}  // namespace mlxguard::supervisor
