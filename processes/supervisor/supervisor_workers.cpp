// SPDX-License-Identifier: Apache-2.0
// Supervisor, workers: started, announced to the gateway, judged when they end.
#include <algorithm>
#include <thread>

#include "limits/worker_limits.h"
#include "supervisor_state.h"

namespace mlxguard::supervisor {

using record::Attr;
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::uint32_t threads_of(const config::ServeConfig& config) {
  if (config.worker_threads > 0) return static_cast<std::uint32_t>(config.worker_threads);
  return std::max(1u, std::thread::hardware_concurrency());
}

std::uint64_t bytes_of(const signature::VerifiedModel& model) {
  std::uint64_t total = 0;
  for (const auto& file : model.files()) total += file.size_bytes;
  return total;
}

}  // namespace

Result<void> Supervisor::start_worker(Model& model) {
  launch::WorkerPlan plan;
  plan.host = parts_.host;
  plan.program_fd = parts_.worker_program.get();
  plan.threads = threads_of(parts_.config);
  limits::WorkerLimitsInput input;
  input.model_bytes = bytes_of(*model.verified);
  input.model_files = model.verified->files().size();
  input.threads = plan.threads;
  input.memory_bytes_max = static_cast<std::uint64_t>(parts_.config.worker_memory_bytes_max);
  plan.limits = limits::worker_limits(input);
  MLXGUARD_TRY_ASSIGN(auto worker, launch::WorkerProcess::start(model.verified, plan));
  model.worker = std::move(worker);
  model.announced = false;
  ++model.generation;
  model.restart_at.reset();
  model.start_until = steady_clock::now() + milliseconds(parts_.config.worker_start_timeout_ms);
  record::Event passed{.kind = record::Kind::kModelPassed};
  passed.model = model.verified->name();
  passed.message = "verified descriptors handed to a worker";
  passed.set(Attr::kPid, model.worker->pid())
      .set(Attr::kRootDigest, model.verified->root_digest())
      .set(Attr::kFiles, model.verified->files().size());
  report(passed);
  return {};
}

void Supervisor::worker_ready(Model& model) {
  const bool again = model.generation > 1;
  model.start_until.reset();
  model.restarts.on_ready(steady_clock::now());
  record::Event loaded{.kind = record::Kind::kModelLoaded};
  loaded.model = model.verified->name();
  loaded.message = "mlx loaded the verified bytes";
  loaded.set(Attr::kRuntime, model.worker->runtime())
      .set(Attr::kLoadUs, model.worker->load_time().count())
      .set(Attr::kRootDigest, model.verified->root_digest());
  report(loaded);
  record::Event started{.kind =
                            again ? record::Kind::kWorkerRestarted : record::Kind::kWorkerStarted};
  started.model = model.verified->name();
  started.message = "a locked worker is ready";
  started.set(Attr::kProcess, "worker")
      .set(Attr::kPid, model.worker->pid())
      .set(Attr::kRootDigest, model.verified->root_digest())
      .set(Attr::kGeneration, model.generation)
      .set(Attr::kIsolation, model.worker->isolation());
  report(started);
}

Result<void> Supervisor::announce(Model& model) {
  MLXGUARD_TRY_ASSIGN(UniqueFd data, model.worker->open_data_channel());
  ipc::ModelUp up;
  up.name = model.verified->name();
  up.generation = model.generation;
  up.schema = model.worker->schema();
  up.root_digest = model.verified->root_digest();
  up.signer = model.verified->signer();
  up.created_seconds = model.created_seconds;
  std::vector<UniqueFd> descriptors;
  descriptors.push_back(std::move(data));
  const std::array<int, 1> borrowed{descriptors.front().get()};
  MLXGUARD_TRY_ASSIGN(wire::Packet packet, wire::pack(up, borrowed));
  send_to_gateway(std::move(packet), std::move(descriptors));
  model.announced = true;
  return {};
}

/// Names the worker's process, which is still there to be named.
record::Event Supervisor::worker_event(const Model& model, record::Event event) {
  event.model = model.verified->name();
  event.set(Attr::kProcess, "worker").set(Attr::kPid, model.worker->pid());
  event.set(Attr::kRootDigest, model.verified->root_digest());
  return event;
}

void Supervisor::handle_worker(Model& model) {
  const launch::Stage before = model.worker->stage();
  auto advanced = model.worker->advance();
  if (!advanced) {
    report(worker_event(model, record::event_of(record::Kind::kWorkerDied, advanced.error())));
    model.worker->kill(sandbox::KillReason::kShutdown);
    return;
  }
  if (model.worker->stage() == before) return;
  if (model.worker->stage() == launch::Stage::kReady) {
    worker_ready(model);
    if (gateway_ && gateway_->ready) {
      if (auto announced = announce(model); !announced) {
        report(worker_event(model, record::event_of(record::Kind::kWorkerDied, announced.error())));
      }
    }
  } else if (model.worker->stage() == launch::Stage::kFailed) {
    report(record::event_of(record::Kind::kModelLoadRefused, *model.worker->failure(),
                            model.verified->name()));
  }
}

void Supervisor::worker_ended(Model& model) {
  const sandbox::ExitVerdict verdict = judged(model.worker->reap());
  const auto now = steady_clock::now();
  const limits::RestartDecision decision = model.restarts.on_death(now);
  const Error error = verdict_error(verdict, model.verified->name());
  record::Event died = worker_event(model, record::event_of(record::Kind::kWorkerDied, error));
  model.worker.reset();
  model.start_until.reset();
  model.restart_at = now + decision.delay;

  // First the clients, then the record: the requests it held are waiting.
  ipc::ModelDown down;
  down.name = model.verified->name();
  down.generation = model.generation;
  down.reason = ipc::WireError::of(error);
  down.retry_after_ms =
      std::max<std::int64_t>(1000, std::chrono::ceil<milliseconds>(decision.delay).count());
  if (auto packet = wire::pack(down)) send_to_gateway(*std::move(packet));

  died.outcome = record::Outcome::kFailed;
  add_usage(died, verdict);
  died.set(Attr::kGeneration, model.generation)
      .set(Attr::kRestartInMs, std::chrono::ceil<milliseconds>(decision.delay).count())
      .set(Attr::kBreakerOpen, decision.breaker_open);
  report(died);
}

}  // namespace mlxguard::supervisor
