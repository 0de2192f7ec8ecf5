// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "deps_commands.h"

namespace mlxguard::cli {
namespace {

constexpr Command kDepsCommands[] = {
    {"inventory", "what an environment, project, wheel or lock file consists of", define_deps_inventory},
    {"scan", "hold all of it against the advisories; exits 0 only when that is known to be clean", define_deps_scan},
    {"db", "the advisories on disk: update, status, a feed of your own", define_deps_db},
    {"lock", "write the exact versions and hashes of an environment or project", define_deps_lock},
    {"check", "hold an environment against its lock", define_deps_check},
    {"updates", "the smallest upgrades that clear the findings and still resolve", define_deps_updates},
    {"watch", "scan again on schedule or when the advisories change; events for what is new", define_deps_watch},
    {"mirror", "a package index in front of another that scans before it serves", define_deps_mirror},
};

}  // namespace

void define_deps(CLI::App& app, const std::function<void(Action)>& chosen) {
  app.require_subcommand(1);
  for (const Command& command : kDepsCommands) {
    CLI::App* sub = app.add_subcommand(std::string(command.name), std::string(command.meaning));
    command.define(*sub, chosen);
  }
}

}  // namespace mlxguard::cli
