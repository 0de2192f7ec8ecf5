// SPDX-License-Identifier: Apache-2.0
#include "command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <iostream>

#include "arguments.h"
#include "base/file.h"
#include "crypto/secret.h"
#include "output.h"

namespace mlxguard::cli {
namespace {

std::string environment_value(const char* name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread has been started yet
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool color_allowed() { return environment_value("NO_COLOR").empty(); }

int finish(Session& session, Result<int> ended) {
  if (!crypto::private_memory_is_locked()) {
    session.output().note(
        "warning: a secret was held in memory that could not be locked and may reach swap; raise "
        "the limit (ulimit -l) to 1024 or more");
  }
  if (auto closed = session.close(); !closed && ended) ended = std::move(closed).error();
  if (ended) {
    if (auto printed = finish_standard_output(); !printed) ended = std::move(printed).error();
  }
  if (ended) return *ended;
  session.output().error(ended.error());
  return exit_status_of(ended.error());
}

/// What a command throws is a defect of ours or of a library; it ends the command like any error.
Result<int> carry_out(const Action& action, Session& session) {
  try {
    return action(session);
  } catch (const std::exception& problem) {
    return make_error(ErrorCode::kInternal,
                      "an unexpected exception: " + std::string(problem.what()))
        .hinting("this is a defect of mlxguard; please report it with the command that you ran");
  }
}

/// Prints a help or version text. Like a command, it fails if the text cannot be written.
int print_text(const CLI::App& app, const CLI::Error& text) {
  const int status = app.exit(text);
  std::cout.flush();
  auto printed = finish_standard_output();
  if (printed && std::cout.good()) return status;
  if (printed) printed = make_error(ErrorCode::kIo, "standard output could not be written");
  Output({false, color_allowed()}).error(printed.error());
  return exit_status_of(printed.error());
}

/// Options of every command are added to the innermost commands, where users write them.
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

int run_command_line(const Program& program, int argc, char** argv) {
  CLI::App app{program.meaning};
  app.name(program.name);
  app.set_version_flag("--version", "mlxguard " MLXGUARD_VERSION);
  app.require_subcommand(1);
  app.footer(program.name +
             " COMMAND --help says more. Every command takes --json and --state DIR.");
  Action action;
  CommonOptions common;
  const auto chosen = [&](Action picked) { action = std::move(picked); };
  const std::string_view wanted = argc > 1 ? argv[1] : "";
  std::deque<Arguments> defined;
  for (const Command& command : program.commands) {
    CLI::App* sub = app.add_subcommand(std::string(command.name), std::string(command.meaning));
    // The options of every command at each start would take longer than most commands do.
    if (command.define != nullptr && command.name == wanted) {
      command.define(defined.emplace_back(*sub), chosen);
    }
  }
  add_common(app, common);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return print_text(app, help);
  } catch (const CLI::CallForAllHelp& help) {
    return print_text(app, help);
  } catch (const CLI::CallForVersion& version) {
    return print_text(app, version);
  } catch (const CLI::ParseError& problem) {
    Output({common.json, color_allowed()})
        .error(make_error(ErrorCode::kUsage, problem.what()).hinting(program.name + " --help"));
    return static_cast<int>(ExitClass::kUsage);
  }
  const config::Environment environment{environment_value("XDG_STATE_HOME"),
                                        environment_value("HOME"), ::geteuid() == 0};
  Session session(common, environment, color_allowed());
  return finish(session, carry_out(action, session));
}

int become(const char* program, char** argv) {
  std::array<char, 4096> self{};
  const ssize_t length = ::readlink("/proc/self/exe", self.data(), self.size() - 1);
  const std::filesystem::path here(
      std::string(self.data(), length > 0 ? static_cast<std::size_t>(length) : 0));
  const std::string path = (here.parent_path() / program).string();
  ::execv(path.c_str(), argv);
  Output({false, color_allowed()})
      .error(make_error(ErrorCode::kNotFound, "cannot start " + path)
                 .hinting(std::string(program) + " belongs beside mlxguard; run make build"));
  return static_cast<int>(ExitClass::kFailed);
}

}  // namespace mlxguard::cli
