// SPDX-License-Identifier: Apache-2.0
// `mlxguard run`: one inference in the same cage as `mlxguard serve`, without a server.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <thread>

#include "admission/model_line.h"
#include "base/os_error.h"
#include "codec/json.h"
#include "commands.h"
#include "ipc/messages.h"
#include "judgement_output.h"
#include "launch/inspector_program.h"
#include "launch/worker_process.h"
#include "limits/worker_limits.h"
#include "progress.h"
#include "sandbox/host.h"
#include "validate/check.h"
#include "validate/decode_embeddings.h"
#include "validate/decode_infer.h"
#include "validate/encode_tensor.h"

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
  const UniqueFd opened(file == "-" ? ::dup(STDIN_FILENO)
                                    : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened.is_open()) return os_error("open", file);
  std::string text;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t count = ::read(opened.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read", file);
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > bytes_max) {
      return make_error(ErrorCode::kRequestTooLarge,
                        "expected at most " + std::to_string(bytes_max) + " bytes of input")
          .about(file);
    }
  }
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
  input.threads = config.worker_threads > 0 ? static_cast<std::uint32_t>(config.worker_threads)
                                            : std::max(1u, std::thread::hardware_concurrency());
  input.memory_bytes_max = static_cast<std::uint64_t>(config.worker_memory_bytes_max);
  launch::WorkerPlan plan;
  plan.host = &host;
  plan.program_fd = program.get();
  plan.limits = limits::worker_limits(input);
  plan.threads = input.threads;
  MLXGUARD_TRY_ASSIGN(auto worker, launch::WorkerProcess::start(std::move(model), plan));
  MLXGUARD_TRY(
      worker.wait_until_ready(steady_clock::now() + milliseconds(config.worker_start_timeout_ms)));
  return worker;
}

/// The worker's answer, or why there is none: its own error, its death, or the deadline.
Result<wire::Received> ask(launch::WorkerProcess& worker, wire::Channel& data,
                          const wire::Packet& packet, steady_clock::time_point deadline) {
  MLXGUARD_TRY(data.send(packet));
  // A little later than the worker's own deadline, so that its answer comes first.
  auto received = data.receive(deadline + milliseconds(500));
  if (received) return received;
  if (received.error().code == ErrorCode::kDeadline) {
    worker.kill(sandbox::KillReason::kOverdue);
  } else if (received.error().code != ErrorCode::kWorkerUnavailable) {
    return received;
  }
  MLXGUARD_TRY_ASSIGN(const sandbox::ExitVerdict verdict, worker.reap());
  return make_error(sandbox::code_of(verdict.reason), sandbox::describe(verdict))
      .about(worker.model().name());
}

template <class Request>
Request timed(steady_clock::time_point deadline) {
  Request request;
  request.id = 1;
  request.deadline_ns = deadline.time_since_epoch().count();
  return request;
}

Result<std::string> run_function(launch::WorkerProcess& worker, const std::string& body,
                                 const validate::ModelSchema& schema,
                                 steady_clock::time_point deadline) {
  MLXGUARD_TRY_ASSIGN(auto decoded, validate::decode_infer_request(body, schema));
  MLXGUARD_TRY_ASSIGN(auto inputs, validate::check_inputs(schema, std::move(decoded.inputs)));
  auto request = timed<ipc::InferRequest>(deadline);
  for (validate::Tensor& tensor : std::move(inputs).take()) {
    request.inputs.push_back(ipc::WireTensor::of(std::move(tensor)));
  }
  MLXGUARD_TRY_ASSIGN(UniqueFd socket, worker.open_data_channel());
  wire::Channel data(std::move(socket), ipc::kDataChannel);
  MLXGUARD_TRY_ASSIGN(const wire::Packet packet, wire::pack(request));
  MLXGUARD_TRY_ASSIGN(const wire::Received received, ask(worker, data, packet, deadline));
  if (received.is<ipc::RequestFailed>()) {
    MLXGUARD_TRY_ASSIGN(const auto failed, received.as<ipc::RequestFailed>());
    return failed.error.to_error();
  }
  MLXGUARD_TRY_ASSIGN(auto answer, received.as<ipc::InferAnswer>());
  std::vector<validate::Tensor> outputs;
  for (ipc::WireTensor& output : answer.outputs) {
    MLXGUARD_TRY_ASSIGN(validate::Tensor tensor, std::move(output).to_tensor());
    outputs.push_back(std::move(tensor));
  }
  MLXGUARD_TRY(validate::check_outputs(schema, outputs));
  codec::JsonWriter json;
  json.begin_object().field("model_name", worker.model().name());
  json.field("run_us", answer.run_microseconds).key("outputs").begin_array();
  for (const std::size_t wanted : decoded.envelope.outputs) {
    validate::write_tensor(json, outputs.at(wanted));
  }
  json.end_array().end_object();
  return std::move(json).take();
}

Result<std::string> run_embedding(launch::WorkerProcess& worker, const std::string& body,
                                  const config::ServeConfig& config,
                                  const validate::ModelSchema& schema,
                                  steady_clock::time_point deadline) {
  const validate::TextLimits limits{static_cast<std::size_t>(config.texts_max),
                                    static_cast<std::size_t>(config.text_bytes_max)};
  MLXGUARD_TRY_ASSIGN(auto decoded, validate::decode_embeddings_request(
                                        body, limits, validate::ModelMember::kOptional));
  MLXGUARD_TRY_ASSIGN(auto texts, validate::check_texts(std::move(decoded.texts), limits));
  const std::size_t count = texts.texts().size();
  auto request = timed<ipc::EmbedRequest>(deadline);
  request.texts = std::move(texts).take();
  MLXGUARD_TRY_ASSIGN(UniqueFd socket, worker.open_data_channel());
  wire::Channel data(std::move(socket), ipc::kDataChannel);
  MLXGUARD_TRY_ASSIGN(const wire::Packet packet, wire::pack(request));
  MLXGUARD_TRY_ASSIGN(const wire::Received received, ask(worker, data, packet, deadline));
  if (received.is<ipc::RequestFailed>()) {
    MLXGUARD_TRY_ASSIGN(const auto failed, received.as<ipc::RequestFailed>());
    return failed.error.to_error();
  }
  MLXGUARD_TRY_ASSIGN(const auto answer, received.as<ipc::EmbedAnswer>());
  const auto dimension = static_cast<std::size_t>(schema.embedding_dimension);
  if (answer.dimension != dimension || answer.vectors.size() != count * dimension ||
      answer.token_counts.size() != count) {
    return make_error(ErrorCode::kWorkerProtocol,
                      "the worker answered with another number of vectors");
  }
  codec::JsonWriter json;
  std::int64_t tokens = 0;
  json.begin_object().field("object", "list").key("data").begin_array();
  for (std::size_t row = 0; row < count; ++row) {
    tokens += answer.token_counts[row];
    json.begin_object().field("object", "embedding").field("index", static_cast<std::int64_t>(row));
    json.key("embedding").begin_array();
    for (std::size_t i = 0; i < dimension; ++i) json.number(answer.vectors[row * dimension + i]);
    json.end_array().end_object();
  }
  json.end_array().field("model", worker.model().name());
  json.key("usage").begin_object().field("prompt_tokens", tokens).field("total_tokens", tokens);
  json.end_object().field("run_us", answer.run_microseconds).end_object();
  return std::move(json).take();
}

Result<std::string> infer(Session& session, const Run& options, const sandbox::Host& host,
                          log::EventLog& log) {
  MLXGUARD_TRY_ASSIGN(const config::ServeConfig config, session.config());
  MLXGUARD_TRY_ASSIGN(const admission::Trust trust, session.trust(options.public_keys));
  MLXGUARD_TRY_ASSIGN(const std::string body,
                      read_input(options.input, static_cast<std::size_t>(config.body_bytes_max)));
  MLXGUARD_TRY(sandbox::require(host.report(), sandbox::IsolationLevel::kContainer));
  ProgressLine progress(session.output(), session.clock(), "verifying");
  admission::AdmitRequest request{options.model, {}, progress.callback()};
  request.state = config.state;
  request.hugging_face = options.hugging_face;
  request.open_inspector = [&host] { return launch::open_inspector(host); };
  request.judged = [&](const trust::Judgement& judgement) {
    progress.finish();
    show_warnings(session.output(), judgement);
  };
  if (config.receipts) request.receipts = admission::Receipts::kAllowed;
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
  MLXGUARD_TRY_ASSIGN(const auto schema, validate::ModelSchema::from_wire(worker.schema()));
  const auto deadline = steady_clock::now() + milliseconds(options.timeout_ms);
  auto answer = schema.kind == validate::ModelKind::kEmbedding
                    ? run_embedding(worker, body, config, schema, deadline)
                    : run_function(worker, body, schema, deadline);
  worker.kill(sandbox::KillReason::kShutdown);
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

void define_run(CLI::App& app, const std::function<void(Action)>& chosen) {
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
