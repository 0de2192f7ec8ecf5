// SPDX-License-Identifier: Apache-2.0
// `mlxguard deps`: packages, their advisories, locks and the mirror. A program of its own because
// it opens archives from anywhere, which the one that handles keys of models does not.
#include <algorithm>
#include <string_view>

#include "crypto/secret.h"
#include "deps_commands.h"

namespace {

using namespace mlxguard::cli;

/// Codes of files that could not be read as what they should be.
bool is_unreadable(mlxguard::ErrorCode code) {
  using mlxguard::ErrorCode;
  constexpr ErrorCode kCodes[] = {ErrorCode::kDepsFile, ErrorCode::kRequirement,
                                  ErrorCode::kSpecifier, ErrorCode::kMarker,
                                  ErrorCode::kSbom, ErrorCode::kVex, ErrorCode::kAdvisoryRecord};
  return std::find(std::begin(kCodes), std::end(kCodes), code) != std::end(kCodes);
}

/// A command that reads requirements, locks, SBOMs or VEX: where one of them cannot be read,
/// nothing was found, and the exit status is that of what could not be carried out.
template <Define define>
void reading(Arguments& app, const std::function<void(Action)>& chosen) {
  define(app, [chosen](const Action& action) {
    chosen([action](Session& session) -> mlxguard::Result<int> {
      auto ended = action(session);
      if (ended || !is_unreadable(ended.error().code)) return ended;
      session.output().error(ended.error());
      return static_cast<int>(mlxguard::ExitClass::kFailed);
    });
  });
}

constexpr Command kCommands[] = {
    {"inventory", "what an environment, project, wheel or lock file consists of",
     reading<define_deps_inventory>},
    {"scan", "compare all of it with the advisories; exits 0 only when that is known to be clean",
     reading<define_deps_scan>},
    {"baseline", "write down what is found and accepted: with a reason, an author and an expiry",
     reading<define_deps_baseline>},
    {"db", "the advisories on disk: update, status, a feed of your own", define_deps_db},
    {"lock", "write the exact versions and hashes of an environment or project",
     reading<define_deps_lock>},
    {"check", "compare an environment with its lock", reading<define_deps_check>},
    {"updates", "the smallest upgrades that clear the findings and still resolve",
     reading<define_deps_updates>},
    {"watch", "scan again on schedule or when the advisories change; events for what is new",
     reading<define_deps_watch>},
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
