// SPDX-License-Identifier: Apache-2.0
// The commands below `mlxguard deps`; a new one is one file and one row in main.cpp.
#pragma once

#include "command.h"

namespace mlxguard::cli {

void define_deps_mirror(CLI::App& app, const std::function<void(Action)>& chosen);
void define_deps_scan(CLI::App& app, const std::function<void(Action)>& chosen);
void define_deps_db(CLI::App& app, const std::function<void(Action)>& chosen);
/// Below `deps db`.
void define_deps_feed(CLI::App& app, const std::function<void(Action)>& chosen);
void define_deps_inventory(CLI::App& app, const std::function<void(Action)>& chosen);
void define_deps_lock(CLI::App& app, const std::function<void(Action)>& chosen);
void define_deps_check(CLI::App& app, const std::function<void(Action)>& chosen);
void define_deps_updates(CLI::App& app, const std::function<void(Action)>& chosen);
void define_deps_watch(CLI::App& app, const std::function<void(Action)>& chosen);

}  // namespace mlxguard::cli
