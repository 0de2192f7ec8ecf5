// SPDX-License-Identifier: Apache-2.0
// The commands below `mlxguard deps`; a new one is one file and one row in main.cpp.
#pragma once

#include "arguments.h"
#include "command.h"

namespace mlxguard::cli {

void define_deps_mirror(Arguments& app, const std::function<void(Action)>& chosen);
void define_deps_scan(Arguments& app, const std::function<void(Action)>& chosen);
void define_deps_baseline(Arguments& app, const std::function<void(Action)>& chosen);
void define_deps_db(Arguments& app, const std::function<void(Action)>& chosen);
/// Below `deps db`.
void define_deps_feed(Arguments& app, const std::function<void(Action)>& chosen);
void define_deps_inventory(Arguments& app, const std::function<void(Action)>& chosen);
void define_deps_lock(Arguments& app, const std::function<void(Action)>& chosen);
void define_deps_check(Arguments& app, const std::function<void(Action)>& chosen);
void define_deps_updates(Arguments& app, const std::function<void(Action)>& chosen);
void define_deps_watch(Arguments& app, const std::function<void(Action)>& chosen);

}  // namespace mlxguard::cli
