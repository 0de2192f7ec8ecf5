// SPDX-License-Identifier: Apache-2.0
// A program made of a table of commands. `--help` is made from the table; a new command is one file
// and one row.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "arguments.h"
#include "base/result.h"
#include "session.h"

namespace mlxguard::cli {

/// Runs a command; the exit status of a command that was carried out (0, or 1 for "found
/// something").
using Action = std::function<Result<int>(Session&)>;

/// Adds a command's options to `app` and calls `chosen` with its action when the user picked it.
using Define = void (*)(Arguments& app, const std::function<void(Action)>& chosen);

struct Command {
  std::string_view name;
  std::string_view meaning;
  Define define;  ///< null: another program's command, listed for `--help`
};

struct Program {
  std::string name;  ///< as the user types it: "mlxguard", "mlxguard deps"
  std::string meaning;
  std::span<const Command> commands;
};

/// Reads the command line, runs the command that it names, prints how it ended; the exit status.
[[nodiscard]] int run_command_line(const Program& program, int argc, char** argv);

/// Becomes the program beside this one: same process, same arguments. Returns (an exit status) only
/// if it cannot be started.
[[nodiscard]] int become(const char* program, char** argv);

}  // namespace mlxguard::cli
