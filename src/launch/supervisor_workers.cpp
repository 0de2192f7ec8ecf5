// SPDX-License-Identifier: Apache-2.0
// Supervisor, workers: started, announced to the gateway, judged when they end.
#include <algorithm>
#include <utility>

#include "launch/supervisor_state.h"

namespace mlxguard::launch {

using record::Attr;
using std::chrono::milliseconds;

Result<void> Supervisor::start_worker(Model& model) {
  model.restart_at.reset();
  MLXGUARD_TRY_ASSIGN(auto worker, parts_.start_worker(model.verified));
  model.worker.emplace(std::move(worker));
  model.breach.reset();
  ++model.generation;
  model.give_up_at = now() + parts_.worker_start_time_max;
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
  model.give_up_at.reset();
  model.restarts.on_ready(now());
  record::Event loaded{.kind = record::Kind::kModelLoaded};
  loaded.model = model.verified->name();
  loaded.message = "mlx loaded the verified bytes";
  loaded.set(Attr::kRuntime, model.worker->runtime())
      .set(Attr::kLoadUs, model.worker->load_time().count())
      .set(Attr::kRootDigest, model.verified->root_digest());
  report(loaded);
  report(started_event(model.identity(), model.worker->isolation()));
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
  return gateway_->process.control().announce(up, std::move(data));
}

void Supervisor::break_worker(Model& model, Error breach) {
  // A worker that breaks the protocol may be compromised: it is replaced, not argued with.
  if (!model.breach) model.breach = std::move(breach);
  model.worker->kill(sandbox::KillReason::kShutdown);
}

void Supervisor::handle_worker(Model& model) {
  if (model.breach) return;  // it is dying, and nothing it says counts
  const Stage before = model.worker->stage();
  if (auto advanced = model.worker->advance(); !advanced) {
    return break_worker(model, std::move(advanced).error());
  }
  // It is dying, or it plays dead; its pidfd will tell.
  if (model.worker->hung_up()) model.give_up_at = now() + parts_.dying_time_max;
  if (model.worker->stage() == before) return;
  if (model.worker->stage() == Stage::kReady) {
    worker_ready(model);
    if (!gateway_ || !gateway_->process.control().ready()) return;
    if (auto announced = announce(model); !announced) {
      break_worker(model, std::move(announced).error());
    }
  } else if (model.worker->stage() == Stage::kFailed) {
    report(record::event_of(record::Kind::kModelLoadRefused, *model.worker->failure(),
                            model.verified->name()));
  }
}

void Supervisor::worker_ended(Model& model) {
  const ProcessIdentity identity = model.identity();
  Death death;
  death.verdict = judged(model.worker->reap());
  death.breach = std::exchange(model.breach, std::nullopt);
  death.last_output = model.worker->output().last_lines();
  death.restart = model.restarts.on_death(now());
  model.worker.reset();
  model.give_up_at.reset();
  model.restart_at = now() + death.restart.delay;

  // First the clients, then the record: the requests it held are waiting.
  if (gateway_) {
    ipc::ModelDown down;
    down.name = identity.model;
    down.generation = model.generation;
    down.reason = ipc::WireError::of(verdict_error(death.verdict));
    down.retry_after_ms =
        std::max<std::int64_t>(1000, std::chrono::ceil<milliseconds>(death.restart.delay).count());
    if (auto packet = wire::pack(down)) gateway_->process.control().send(*std::move(packet));
    flush_gateway();
  }
  report(died_event(identity, death));
}

}  // namespace mlxguard::launch
