// SPDX-License-Identifier: Apache-2.0
// The table of commands. `--help` is made from it; a new command is one file and one row in main.cpp.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "session.h"

namespace CLI {
class App;
}

namespace mlxguard::cli {

/// Runs a command; the exit status of a command that was carried out (0, or 1 for "found something").
using Action = std::function<Result<int>(Session&)>;

/// Adds a command's options to `app` and calls `chosen` with its action when the user picked it.
using Define = void (*)(CLI::App& app, const std::function<void(Action)>& chosen);

struct Command {
  std::string_view name;
  std::string_view meaning;
  Define define;
};

void define_key(CLI::App& app, const std::function<void(Action)>& chosen);
void define_sign(CLI::App& app, const std::function<void(Action)>& chosen);
void define_verify(CLI::App& app, const std::function<void(Action)>& chosen);
void define_inspect(CLI::App& app, const std::function<void(Action)>& chosen);
void define_trust(CLI::App& app, const std::function<void(Action)>& chosen);
void define_model(CLI::App& app, const std::function<void(Action)>& chosen);
void define_compat(CLI::App& app, const std::function<void(Action)>& chosen);
void define_run(CLI::App& app, const std::function<void(Action)>& chosen);
void define_log(CLI::App& app, const std::function<void(Action)>& chosen);
void define_deps(CLI::App& app, const std::function<void(Action)>& chosen);

}  // namespace mlxguard::cli
