// SPDX-License-Identifier: Apache-2.0
// The mlxguard command. Reads the command line, picks one row of the table, prints how it ended.
// Trusted: its user. Not trusted: every file it reads.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "commands.h"
#include "crypto/secret.h"
#include "output.h"

namespace {

using namespace mlxguard;
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
    {"deps", "what the software under your models consists of, and whether it is sound", define_deps},
};

std::string environment_value(const char* name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread has been started yet
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// `mlxguard serve ...` becomes the supervisor, `mlxguard deps mirror serve ...` the mirror: same process,
/// same arguments.
int become(const char* name, char** argv, const Output& output) {
  std::array<char, 4096> self{};
  const ssize_t length = ::readlink("/proc/self/exe", self.data(), self.size() - 1);
  const std::filesystem::path folder =
      std::filesystem::path(std::string(self.data(), length > 0 ? static_cast<std::size_t>(length) : 0))
          .parent_path();
  const std::string program = (folder / name).string();
  ::execv(program.c_str(), argv);
  output.error(make_error(ErrorCode::kNotFound, "cannot start " + program)
                   .hinting(std::string(name) + " belongs beside mlxguard; run make build"));
  return static_cast<int>(ExitClass::kFailed);
}

int finish(Session& session, Result<int> ended) {
  if (auto closed = session.close(); !closed && ended) ended = std::move(closed).error();
  if (ended) return *ended;
  session.output().error(ended.error());
  return exit_status_of(ended.error());
}

void add_common(CLI::App& app, CommonOptions& common) {
  for (CLI::App* sub : app.get_subcommands({})) {
    if (!sub->get_subcommands({}).empty()) {
      add_common(*sub, common);
      continue;
    }
    sub->add_option("--state", common.state, "folder for keys and log");
    sub->add_option("-c,--config", common.config_file, "configuration file (mlxguard.toml)");
    sub->add_flag("--json", common.json, "JSON on standard output");
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Secrets pass through this process: no core dump, no ptrace by the same user.
  crypto::protect_process_memory();
  const bool color_allowed = environment_value("NO_COLOR").empty();
  const config::Environment environment{environment_value("XDG_STATE_HOME"),
                                        environment_value("HOME"), ::geteuid() == 0};
  const Output plain({false, color_allowed});
  const auto is = [&](int index, std::string_view word) { return argc > index && argv[index] == word; };
  if (is(1, "serve")) return become("mlxguard-supervisor", argv + 1, plain);
  if (is(1, "deps") && is(2, "mirror") && is(3, "serve")) {
    return become("mlxguard-mirror", argv + 3, plain);
  }

  CLI::App app{"mlxguard: the secure way to run MLX models."};
  app.name("mlxguard");
  app.set_version_flag("--version", "mlxguard " MLXGUARD_VERSION);
  app.require_subcommand(1);
  app.footer("mlxguard COMMAND --help says more. Every command takes --json and --state DIR.");
  Action action;
  CommonOptions common;
  const auto chosen = [&](Action picked) { action = std::move(picked); };
  for (const Command& command : kCommands) {
    CLI::App* sub =
        app.add_subcommand(std::string(command.name), std::string(command.meaning));
    command.define(*sub, chosen);
  }
  app.add_subcommand("serve", "serve signed models over HTTP");
  // Options of every command are added to the innermost commands, where users write them.
  add_common(app, common);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& problem) {
    Output({common.json, color_allowed})
        .error(make_error(ErrorCode::kUsage, problem.what()).hinting("mlxguard --help"));
    return static_cast<int>(ExitClass::kUsage);
  }
  Session session(common, environment, color_allowed);
  return finish(session, action(session));
}
