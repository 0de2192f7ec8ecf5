// SPDX-License-Identifier: Apache-2.0
// The mlxguard command. Reads the command line, picks one row of the table, prints how it ended.
// What serves and what opens packages are programs of their own: this one handles keys, and parses
// no archive. Trusted: its user. Not trusted: every file it reads.
#include <string_view>

#include "commands.h"
#include "crypto/secret.h"

namespace {

using namespace mlxguard::cli;

constexpr Command kCommands[] = {
    {"key", "make and list signing keys", define_key},
    {"sign", "sign a model with a key of yours", define_sign},
    {"verify", "check a model against its signature", define_verify},
    {"inspect", "what a model would do if it were loaded carelessly", define_inspect},
    {"trust", "who may sign which models, and why a model is allowed or refused", define_trust},
    {"model", "the store of verified models", define_model},
    {"run", "one inference in a locked worker, without a server", define_run},
    {"compat", "in the place of other model signing commands", define_compat},
    {"log", "read, query and verify the event log", define_log},
    {"deps", "what the software under your models consists of, and whether it is sound", nullptr},
    {"serve", "serve signed models over HTTP", nullptr},
};

}  // namespace

int main(int argc, char** argv) {
  // Secrets pass through this process: no core dump, no ptrace by the same user.
  mlxguard::crypto::protect_process_memory();
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "serve") return become("mlxguard-supervisor", argv + 1);
  if (first == "deps") return become("mlxguard-deps", argv + 1);
  return run_command_line({"mlxguard", "mlxguard: the secure way to run MLX models.", kCommands},
                          argc, argv);
}
