// SPDX-License-Identifier: Apache-2.0
// The commands of `mlxguard`; a new one is one file and one row in main.cpp.
#pragma once

#include "arguments.h"
#include "command.h"

namespace mlxguard::cli {

void define_key(Arguments& app, const std::function<void(Action)>& chosen);
void define_sign(Arguments& app, const std::function<void(Action)>& chosen);
void define_verify(Arguments& app, const std::function<void(Action)>& chosen);
void define_inspect(Arguments& app, const std::function<void(Action)>& chosen);
void define_trust(Arguments& app, const std::function<void(Action)>& chosen);
void define_model(Arguments& app, const std::function<void(Action)>& chosen);
void define_compat(Arguments& app, const std::function<void(Action)>& chosen);
void define_run(Arguments& app, const std::function<void(Action)>& chosen);
void define_log(Arguments& app, const std::function<void(Action)>& chosen);

}  // namespace mlxguard::cli
