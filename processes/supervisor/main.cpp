// SPDX-License-Identifier: Apache-2.0
// The supervisor: opens and verifies models, starts the gateway and the workers, owns the log.
// Started as `mlxguard serve`. It reads no request and no tensor header.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "admission/model_line.h"
#include "base/file.h"
#include "base/limits.h"
#include "codec/json.h"
#include "environment_check.h"
#include "launch/inspector_program.h"
#include "launch/state_folder.h"
#include "log/state_log.h"
#include "serve_options.h"
#include "wiring.h"

namespace {

using namespace mlxguard;
using record::Attr;
using namespace mlxguard::supervisor;
namespace fs = std::filesystem;

std::string environment_value(const char* name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread has been started yet
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void print(std::FILE* stream, const std::string& line) {
  std::fputs((line + "\n").c_str(), stream);
  std::fflush(stream);
}

int fail(const Error& error, Output output) {
  if (output == Output::kJson) {
    codec::JsonWriter writer;
    writer.begin_object().key("error").begin_object();
    writer.field("code", name_of(error.code)).field("message", error.message);
    writer.field("subject", error.subject).field("expected", error.expected);
    writer.field("actual", error.actual).field("hint", error.hint);
    writer.end_object().end_object();
    print(stdout, writer.text());
  }
  const bool named =
      error.subject.empty() || error.message.find(error.subject) != std::string::npos;
  print(stderr, "mlxguard: error: " + (named ? "" : error.subject + ": ") + error.message + " [" +
                    std::string(name_of(error.code)) + "]");
  print(stderr, "mlxguard: hint: " +
                    (error.hint.empty() ? std::string(describe(error.code).meaning) : error.hint));
  return static_cast<int>(describe(error.code).exit_class);
}

sandbox::IsolationLevel level_of(config::IsolationLevel level) {
  switch (level) {
    case config::IsolationLevel::kContainer:
      return sandbox::IsolationLevel::kContainer;
    case config::IsolationLevel::kNoCgroup:
      return sandbox::IsolationLevel::kNoCgroup;
    case config::IsolationLevel::kFull:
      return sandbox::IsolationLevel::kFull;
  }
  return sandbox::IsolationLevel::kFull;
}

Result<UniqueFd> open_beside_self(const char* name) {
  std::error_code problem;
  const fs::path self = fs::read_symlink("/proc/self/exe", problem);
  auto program = sandbox::open_program((self.parent_path() / name).string());
  if (!program) {
    return std::move(program).error().hinting(std::string(name) +
                                              " belongs beside mlxguard; run make build");
  }
  return program;
}

Result<std::string> read_pem(const fs::path& file) {
  if (file.empty()) return std::string();
  return read_file(file, limits::kKeyFileBytesMax);
}

Result<void> admit_models(Wiring& wiring) {
  const config::ServeConfig& config = wiring.config;
  MLXGUARD_TRY_ASSIGN(
      const admission::Trust trust,
      admission::Trust::load({config.server.state, config.trust.policy, config.trust.root_key,
                              config.trust.public_keys},
                             *wiring.log, *wiring.clock));
  for (const config::ModelSettings& model : config.models) {
    admission::AdmitRequest request{model.path, model.name};
    request.state = config.server.state;
    request.open_inspector = [&wiring] { return launch::open_inspector(*wiring.host); };
    if (config.trust.receipts == config::Receipts::kAllow) {
      request.receipts = admission::Receipts::kAllowed;
    }
    MLXGUARD_TRY_ASSIGN(signature::VerifiedModel verified,
                        admission::admit(request, trust, *wiring.log, *wiring.clock));
    wiring.models.push_back(std::make_shared<const signature::VerifiedModel>(std::move(verified)));
  }
  return {};
}

void report_start(const Wiring& wiring) {
  record::Event started{.kind = record::Kind::kServerStarted};
  started.message = "serving";
  started.set(Attr::kUrl, url_of(wiring))
      .set(Attr::kModels, wiring.models.size())
      .set(Attr::kIsolation, sandbox::name_of(wiring.host->level()));
  if (auto logged = wiring.log->append(started); !logged) {
    print(stderr, "mlxguard: error: an event could not be logged [log.write]");
  }
}

Result<void> print_ready(const Wiring& wiring, const launch::Supervisor& supervisor,
                         Output output) {
  if (output == Output::kJson) {
    print(stdout, ready_json(wiring, supervisor));
    return finish_standard_output();
  }
  print(stdout, "serving on " + url_of(wiring) + ", isolation " +
                    std::string(sandbox::name_of(wiring.host->level())));
  for (const config::ModelSettings& model : wiring.config.models) {
    print(stdout, "  " + model.name + "  " + model.path.string());
  }
  if (wiring.api_keys.created) {
    print(stdout, "API key, shown this once: " + *wiring.api_keys.created);
  }
  return finish_standard_output();
}

Result<void> serve(const ServeOptions& options, int signal_fd) {
  MLXGUARD_TRY(launch::prepare_state(options.config.server.state));
  MLXGUARD_TRY(
      check_environment(options.config));  // before the log is ours: the check writes to it
  MLXGUARD_TRY_ASSIGN(const sandbox::Host host, sandbox::Host::probe());
  const SystemClock clock;
  crypto::SystemRandom random;
  MLXGUARD_TRY_ASSIGN(
      const std::unique_ptr<log::EventLog> log,
      log::open_state_log(options.config.server.state, "mlxguard-supervisor", clock, random));

  Wiring wiring;
  wiring.config = options.config;
  wiring.host = &host;
  wiring.log = log.get();
  wiring.clock = &clock;
  if (auto enough = sandbox::require(host.report(), level_of(options.config.isolation.minimum));
      !enough) {
    MLXGUARD_TRY(log->append(record::event_of(record::Kind::kSandboxRefused, enough.error())));
    return enough;
  }
  record::Event probed{.kind = record::Kind::kIsolationProbed};
  probed.message = "isolation level " + std::string(sandbox::name_of(host.level()));
  std::string mechanisms;
  for (const auto& row : host.report().mechanisms()) {
    const bool active = row.state == sandbox::MechanismState::kActive;
    mechanisms += (mechanisms.empty() ? "" : "; ") + std::string(sandbox::name_of(row.mechanism)) +
                  (active ? ": active " : ": unavailable: ") + row.detail;
  }
  probed.set(Attr::kIsolation, sandbox::name_of(host.level())).set(Attr::kMechanisms, mechanisms);
  MLXGUARD_TRY(log->append(probed));

  MLXGUARD_TRY_ASSIGN(wiring.worker_program, open_beside_self("mlxguard-worker"));
  MLXGUARD_TRY_ASSIGN(wiring.gateway_program, open_beside_self("mlxguard-gateway"));
  MLXGUARD_TRY_ASSIGN(wiring.tls_certificate_pem, read_pem(options.config.tls.certificate));
  MLXGUARD_TRY_ASSIGN(wiring.tls_private_key_pem, read_pem(options.config.tls.private_key));
  if (options.config.server.allow_anonymous) {
    // No keys: check_exposure has made sure that only this machine can reach the server.
  } else if (options.config.server.api_key_file.empty()) {
    MLXGUARD_TRY_ASSIGN(wiring.api_keys,
                        load_or_create_api_keys(options.config.server.state / "api-keys", random));
  } else {
    MLXGUARD_TRY_ASSIGN(wiring.api_keys, load_api_keys(options.config.server.api_key_file));
  }
  MLXGUARD_TRY_ASSIGN(const auto address, http::parse_listen(options.config.server.listen));
  MLXGUARD_TRY_ASSIGN(wiring.listener, http::listen_on(address));
  MLXGUARD_TRY(config::check_exposure(options.config, wiring.listener.reach));
  MLXGUARD_TRY(admit_models(wiring));

  launch::Supervisor supervisor(supervisor_parts(wiring));
  MLXGUARD_TRY(supervisor.start());
  report_start(wiring);
  MLXGUARD_TRY(print_ready(wiring, supervisor, options.output));
  MLXGUARD_TRY(supervisor.run(signal_fd));
  return log->flush();
}

}  // namespace

int main(int argc, char** argv) {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::signal(SIGPIPE, SIG_IGN);
  // Blocked before any thread exists, so that every thread inherits it and only the signalfd sees
  // them.
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const UniqueFd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));

  const config::Environment environment{environment_value("XDG_STATE_HOME"),
                                        environment_value("HOME"), ::geteuid() == 0};
  auto parsed = parse_command_line(argc, argv, environment);
  if (!parsed) {
    bool json = false;
    for (int i = 1; i < argc; ++i) json = json || std::string_view(argv[i]) == "--json";
    return fail(parsed.error(), json ? Output::kJson : Output::kText);
  }
  if (!parsed->options) {
    std::fputs(parsed->text.c_str(), stdout);
    if (auto printed = finish_standard_output(); !printed) {
      return fail(printed.error(), Output::kText);
    }
    return parsed->exit_status;
  }
  auto served = serve(*parsed->options, signal_fd.get());
  return served ? 0 : fail(served.error(), parsed->options->output);
}
