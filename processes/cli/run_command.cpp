// SPDX-License-Identifier: Apache-2.0
// `mlxguard run`: one inference in the same cage as `mlxguard serve`, without a server.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "admission/model_line.h"
#include "arguments.h"
#include "base/file.h"
#include "call/blocking_client.h"
#include "codec/json.h"
#include "commands.h"
#include "judgement_output.h"
#include "launch/inspector_program.h"
#include "launch/worker_process.h"
#include "limits/worker_limits.h"
#include "progress.h"
#include "sandbox/host.h"
#include "task/table.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Run {
  std::string model;
  std::string input;
  std::vector<std::string> public_keys;
  std::string hugging_face;
  std::int64_t timeout_ms = 60'000;
};

Result<std::string> read_input(const std::string& file, std::size_t bytes_max) {
  auto text = file == "-" ? read_to_end(STDIN_FILENO, bytes_max, "standard input")
                          : read_file(file, bytes_max);
  if (!text && text.error().code == ErrorCode::kTooLarge) {
    return make_error(ErrorCode::kRequestTooLarge,
                      "expected at most " + std::to_string(bytes_max) + " bytes of input")
        .about(file);
  }
  return text;
}

Result<launch::WorkerProcess> start_worker(std::shared_ptr<const signature::VerifiedModel> model,
                                           const sandbox::Host& host,
                                           const config::ServeConfig& config) {
  std::error_code problem;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", problem);
  MLXGUARD_TRY_ASSIGN(const UniqueFd program,
                      sandbox::open_program((self.parent_path() / "mlxguard-worker").string()));
  limits::WorkerLimitsInput input;
  for (const auto& file : model->files()) input.model_bytes += file.size_bytes;
  input.model_files = model->files().size();
  input.threads = config.worker.threads > 0 ? static_cast<std::uint32_t>(config.worker.threads)
                                            : std::max(1u, std::thread::hardware_concurrency());
  input.memory_bytes_max = static_cast<std::uint64_t>(config.worker.memory_bytes_max);
  launch::WorkerPlan plan;
  plan.host = &host;
  plan.program_fd = program.get();
  plan.limits = limits::worker_limits(input);
  plan.threads = input.threads;
  MLXGUARD_TRY_ASSIGN(auto worker, launch::WorkerProcess::start(std::move(model), plan));
  MLXGUARD_TRY(
      worker.wait_until_ready(steady_clock::now() + milliseconds(config.worker.start_timeout_ms)));
  return worker;
}

/// What the worker said or how it died, as this command's own error. Here the user is the operator:
/// the worker's words are for them.
Error failure_of(const call::WorkerError& said, const std::string& model) {
  return make_error(said.code(), said.reason_for_log()).about(model);
}

Result<call::Outcome> ask(launch::WorkerProcess& worker, const call::BlockingRequest& request,
                          const std::function<Result<void>(Bytes part)>& on_part) {
  MLXGUARD_TRY_ASSIGN(UniqueFd socket, worker.open_data_channel());
  wire::Channel channel(std::move(socket), call::kCallBounds);
  auto outcome = call::ask_and_wait(channel, request, on_part);
  if (outcome) return outcome;
  if (outcome.error().code == ErrorCode::kDeadline) {
    worker.kill(sandbox::KillReason::kOverdue);
  } else if (outcome.error().code != ErrorCode::kWorkerUnavailable) {
    return outcome;
  }
  MLXGUARD_TRY_ASSIGN(const sandbox::ExitVerdict verdict, worker.reap());
  return make_error(sandbox::code_of(verdict.reason), sandbox::describe(verdict))
      .about(worker.model().name());
}

/// The path whose form the body has: the inference protocol's where it says "inputs".
const task::Route& route_of(const task::Row& row, const std::string& body) {
  const auto document = codec::JsonDocument::parse(body);
  const bool has_inputs = document && document->root().find("inputs").has_value();
  for (const task::Route& route : row.routes) {
    if (has_inputs == (route.protocol == task::Protocol::kInference)) return route;
  }
  return row.routes.front();
}

/// The same rows as the server walks, so a body and its answer mean the same in both.
Result<std::string> answer_of(launch::WorkerProcess& worker, const std::string& body,
                              const config::ServeConfig& config,
                              steady_clock::time_point deadline) {
  MLXGUARD_TRY_ASSIGN(auto schema, validate::ModelSchema::from_wire(worker.schema()));
  const auto rows = task::table();
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [&](const task::Row& one) { return one.kind == schema.kind; });
  MLXGUARD_CHECK(row != rows.end());
  task::Incoming incoming;
  incoming.body = body;
  incoming.route = &route_of(*row, body);
  incoming.model = {worker.model().name(),
                    std::make_shared<const validate::ModelSchema>(std::move(schema))};
  incoming.texts = {static_cast<std::size_t>(config.texts.texts_max),
                    static_cast<std::size_t>(config.texts.text_bytes_max)};
  MLXGUARD_TRY_ASSIGN(const auto job, row->decode(incoming));
  MLXGUARD_TRY_ASSIGN(auto payload, job->validate());
  std::string answer;
  const auto on_part = [&](Bytes part) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const std::string text, job->encode_part(part));
    answer += text;
    return {};
  };
  MLXGUARD_TRY_ASSIGN(
      const call::Outcome outcome,
      ask(worker, {std::string(row->name), std::move(payload), deadline}, on_part));
  if (const auto* said = std::get_if<call::WorkerError>(&outcome)) {
    return failure_of(*said, worker.model().name());
  }
  MLXGUARD_TRY_ASSIGN(const std::string tail, job->encode_end(std::get<call::Usage>(outcome)));
  return answer + tail;
}

Result<std::string> infer(Session& session, const Run& options, const sandbox::Host& host,
                          log::EventLog& log) {
  MLXGUARD_TRY_ASSIGN(const config::ServeConfig config, session.config());
  MLXGUARD_TRY_ASSIGN(const admission::Trust trust, session.trust(options.public_keys));
  MLXGUARD_TRY_ASSIGN(const std::string body,
                      read_input(options.input,
                                 static_cast<std::size_t>(config.http.body_bytes_max)));
  MLXGUARD_TRY(sandbox::require(host.report(), sandbox::IsolationLevel::kContainer));
  ProgressLine progress(session.output(), session.clock(), "verifying");
  admission::AdmitRequest request{options.model, {}, progress.callback()};
  request.state = config.server.state;
  request.hugging_face = options.hugging_face;
  request.open_inspector = [&host] { return launch::open_inspector(host); };
  request.judged = [&](const trust::Judgement& judgement) {
    progress.finish();
    show_warnings(session.output(), judgement);
  };
  if (config.trust.receipts == config::Receipts::kAllow) {
    request.receipts = admission::Receipts::kAllowed;
  }
  MLXGUARD_TRY_ASSIGN(auto verified, admission::admit(request, trust, log, session.clock()));
  progress.finish();
  const auto model = std::make_shared<const signature::VerifiedModel>(std::move(verified));
  auto started = start_worker(model, host, config);
  if (!started) {
    MLXGUARD_TRY(log.append(
        record::event_of(record::Kind::kModelLoadRefused, started.error(), model->name())));
    return std::move(started).error();
  }
  launch::WorkerProcess worker = *std::move(started);
  record::Event loaded{.kind = record::Kind::kModelLoaded};
  loaded.model = model->name();
  loaded.message = "mlx loaded the verified bytes";
  loaded.set(Attr::kRuntime, worker.runtime())
      .set(Attr::kLoadUs, worker.load_time().count())
      .set(Attr::kRootDigest, model->root_digest());
  MLXGUARD_TRY(log.append(loaded));
  const auto deadline = steady_clock::now() + milliseconds(options.timeout_ms);
  auto answer = answer_of(worker, body, config, deadline);
  worker.kill(sandbox::KillReason::kShutdown);
  static_cast<void>(worker.reap());  // reads its last words; its death is our doing
  if (!answer) {
    const bool refused = describe(answer.error().code).exit_class == ExitClass::kRefused;
    MLXGUARD_TRY(log.append(
        record::event_of(refused ? record::Kind::kRequestRefused : record::Kind::kInferenceFailed,
                         answer.error(), model->name())));
    return answer;
  }
  record::Event done{.kind = record::Kind::kInferenceDone};
  done.model = model->name();
  done.message = "one inference by the command line";
  done.set(Attr::kRootDigest, model->root_digest())
      .set(Attr::kBytesIn, body.size())
      .set(Attr::kBytesOut, answer->size());
  MLXGUARD_TRY(log.append(done));
  return answer;
}

Result<int> run(Session& session, const Run& options) {
  // Before the log's threads exist: the probe forks, and a child of a process with threads inherits
  // whatever lock another thread held.
  MLXGUARD_TRY_ASSIGN(const sandbox::Host host, sandbox::Host::probe());
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const std::string answer, infer(session, options, host, *log));
  // The answer is JSON either way: --json changes nothing here.
  session.output().line(answer);
  session.output().json_line(answer);
  return 0;
}

}  // namespace

void define_run(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Run>();
  app.add_option("MODEL", options->model, "signed folder of the model")->required();
  app.add_option(
         "--input", options->input,
         "request body as JSON, '-' for standard input: {\"input\": \"text\"} for embeddings, "
         "{\"inputs\": [...]} (Open Inference Protocol) for a function")
      ->required();
  app.add_option("--public-key", options->public_keys,
                 "PEM key to trust, besides those in the key folder")
      ->allow_extra_args(false);
  app.add_option("--hf", options->hugging_face,
                 "ORG/NAME: what you asked the Hugging Face Hub for");
  app.add_option("--timeout-ms", options->timeout_ms, "time for the inference (60000)");
  app.callback([=] { chosen([=](Session& session) { return run(session, *options); }); });
}

}  // namespace mlxguard::cli
