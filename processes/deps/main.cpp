// SPDX-License-Identifier: Apache-2.0
// `mlxguard deps`: packages, their advisories, locks and the mirror. A program of its own because
// it opens archives from anywhere, which the one that handles keys of models does not.
#include <string_view>

#include "crypto/secret.h"
#include "deps_commands.h"

namespace {

using namespace mlxguard::cli;

constexpr Command kCommands[] = {
    {"inventory", "what an environment, project, wheel or lock file consists of",
     define_deps_inventory},
    {"scan", "hold all of it against the advisories; exits 0 only when that is known to be clean",
     define_deps_scan},
    {"db", "the advisories on disk: update, status, a feed of your own", define_deps_db},
    {"lock", "write the exact versions and hashes of an environment or project", define_deps_lock},
    {"check", "hold an environment against its lock", define_deps_check},
    {"updates", "the smallest upgrades that clear the findings and still resolve",
     define_deps_updates},
    {"watch", "scan again on schedule or when the advisories change; events for what is new",
     define_deps_watch},
    {"mirror", "a package index in front of another that scans before it serves",
     define_deps_mirror},
};

}  // namespace

int main(int argc, char** argv) {
  mlxguard::crypto::protect_process_memory();  // the key of a feed passes through
  const auto is = [&](int index, std::string_view word) {
    return argc > index && argv[index] == word;
  };
  if (is(1, "mirror") && is(2, "serve")) return become("mlxguard-mirror", argv + 2);
  return run_command_line(
      {"mlxguard deps", "what the software under your models consists of, and whether it is sound",
       kCommands},
      argc, argv);
}
