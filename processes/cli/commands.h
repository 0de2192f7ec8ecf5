// SPDX-License-Identifier: Apache-2.0
// The commands of `mlxguard`; a new one is one file and one row in main.cpp.
#pragma once

#include "command.h"

namespace mlxguard::cli {

void define_key(CLI::App& app, const std::function<void(Action)>& chosen);
void define_sign(CLI::App& app, const std::function<void(Action)>& chosen);
void define_verify(CLI::App& app, const std::function<void(Action)>& chosen);
void define_inspect(CLI::App& app, const std::function<void(Action)>& chosen);
void define_trust(CLI::App& app, const std::function<void(Action)>& chosen);
void define_model(CLI::App& app, const std::function<void(Action)>& chosen);
void define_compat(CLI::App& app, const std::function<void(Action)>& chosen);
void define_run(CLI::App& app, const std::function<void(Action)>& chosen);
void define_log(CLI::App& app, const std::function<void(Action)>& chosen);

}  // namespace mlxguard::cli
