// SPDX-License-Identifier: Apache-2.0
// Supervisor, gateway: started, told and listened to, replaced when it breaks.
#include <utility>

#include "launch/supervisor_state.h"

namespace mlxguard::launch {
namespace {

constexpr int kLastTurnsMax = 64;

}  // namespace

Result<void> Supervisor::start_gateway() {
  gateway_restart_at_.reset();
  MLXGUARD_TRY_ASSIGN(auto process, parts_.start_gateway());
  gateway_ = std::make_unique<Gateway>(
      Gateway{std::move(process), now() + parts_.gateway_start_time_max});
  ++gateway_generation_;
  return {};
}

void Supervisor::announce_all() {
  gateway_restarts_.on_ready(now());
  for (const auto& model : models_) {
    const bool up = model->worker && model->worker->stage() == Stage::kReady && !model->breach;
    if (!up) continue;
    if (auto announced = announce(*model); !announced) {
      break_worker(*model, std::move(announced).error());
    }
  }
}

void Supervisor::break_gateway(Error breach) {
  // A gateway that breaks the protocol may be compromised: it is replaced, not argued with.
  if (!gateway_->breach) gateway_->breach = std::move(breach);
  gateway_->process.process().kill(sandbox::KillReason::kShutdown);
}

void Supervisor::flush_gateway() {
  if (!gateway_ || gateway_->breach) return;
  if (auto flushed = gateway_->process.control().flush(); !flushed) {
    break_gateway(std::move(flushed).error());
  }
}

void Supervisor::handle_gateway() {
  if (gateway_->breach) return;  // it is dying, and nothing it says counts
  GatewayControl& control = gateway_->process.control();
  auto heard = control.advance();
  if (!heard) return break_gateway(std::move(heard).error());
  if (control.hung_up()) gateway_->give_up_at = now() + parts_.dying_time_max;
  if (heard->became_ready) announce_all();
  for (const GatewayControl::Overdue& overdue : heard->overdue) {
    for (const auto& model : models_) {
      const bool is_meant = model->worker && model->verified->name() == overdue.model &&
                            model->generation == overdue.generation;
      if (is_meant) model->worker->kill(sandbox::KillReason::kOverdue);
    }
  }
}

void Supervisor::hear_last_words() {
  // The channel holds no more than these turns handle.
  for (int i = 0; i < kLastTurnsMax && !gateway_->process.control().hung_up(); ++i) {
    handle_gateway();
  }
}

void Supervisor::gateway_ended() {
  hear_last_words();
  const ProcessIdentity identity{"gateway", {}, {}, gateway_->process.process().pid(),
                                 gateway_generation_};
  Death death;
  death.verdict = judged(gateway_->process.process().reap());
  death.breach = std::move(gateway_->breach);
  death.last_output = gateway_->process.process().output().last_lines();
  death.restart = gateway_restarts_.on_death(now());
  gateway_.reset();
  gateway_restart_at_ = now() + death.restart.delay;
  report(died_event(identity, death));
}

}  // namespace mlxguard::launch
