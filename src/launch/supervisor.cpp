// SPDX-License-Identifier: Apache-2.0
#include "launch/supervisor.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/os_error.h"
#include "launch/supervisor_state.h"

namespace mlxguard::launch {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLogRetry{200};
constexpr milliseconds kWaitMax{60'000};

}  // namespace

Supervisor::Supervisor(SupervisorParts parts)
    : parts_(std::move(parts)), gateway_restarts_(parts_.restarts) {
  const auto created = std::chrono::duration_cast<std::chrono::seconds>(
      parts_.clock->now().time_since_epoch());
  for (const auto& verified : parts_.models) {
    auto model = std::make_unique<Model>();
    model->verified = verified;
    model->restarts = limits::RestartPolicy(parts_.restarts);
    model->created_seconds = created.count();
    models_.push_back(std::move(model));
  }
}

Supervisor::~Supervisor() = default;

void Supervisor::report(const record::Event& event) {
  // Durable before the supervisor goes on. A log that cannot be written must be seen by people too.
  if (auto appended = parts_.log->append(event); !appended && parts_.print) {
    parts_.print("mlxguard: error: an event could not be logged: " + appended.error().message +
                 " [" + std::string(name_of(appended.error().code)) + "]\n");
  }
}

Result<void> Supervisor::start() {
  for (const auto& model : models_) MLXGUARD_TRY(start_worker(*model));
  for (const auto& model : models_) {
    if (auto waited = model->worker->wait_until_ready(*model->give_up_at); !waited) {
      report(record::event_of(record::Kind::kModelLoadRefused, waited.error(),
                              model->verified->name()));
      return waited;
    }
    worker_ready(*model);
  }
  MLXGUARD_TRY(start_gateway());
  if (auto waited = gateway_->process.wait_until_ready(gateway_->give_up_at); !waited) {
    return std::move(waited).error().with("starting the gateway");
  }
  announce_all();
  flush_gateway();
  return {};
}

std::vector<Supervisor::ModelState> Supervisor::models() const {
  std::vector<ModelState> states;
  for (const auto& model : models_) {
    ModelState state{model->verified->name(), model->verified->root_digest(),
                     model->verified->signer(), {}, 0};
    if (model->worker) {
      state.runtime = model->worker->runtime();
      state.pid = model->worker->pid();
    }
    states.push_back(std::move(state));
  }
  return states;
}

int Supervisor::gateway_pid() const {
  return gateway_ ? gateway_->process.process().pid() : 0;
}

void Supervisor::do_what_is_due() {
  const Time time = now();
  for (const auto& model : models_) {
    if (model->give_up_at && time >= *model->give_up_at && model->worker) {
      model->give_up_at.reset();
      model->worker->kill(sandbox::KillReason::kOverdue);
    }
    if (model->restart_at && time >= *model->restart_at) {
      if (auto started = start_worker(*model); !started) {
        report(record::event_of(record::Kind::kSandboxRefused, started.error(),
                                model->verified->name()));
        model->restart_at = time + model->restarts.on_death(time).delay;
      }
    }
  }
  if (gateway_ && gateway_->awaited() && time >= gateway_->give_up_at) {
    gateway_->process.process().kill(sandbox::KillReason::kOverdue);
    gateway_->given_up = true;
  }
  if (gateway_restart_at_ && time >= *gateway_restart_at_) {
    if (auto started = start_gateway(); !started) {
      report(record::event_of(record::Kind::kSandboxRefused, started.error(), "gateway"));
      gateway_restart_at_ = time + gateway_restarts_.on_death(time).delay;
    }
  }
  if (gateway_ && gateway_->process.control().relay().has_failed()) {
    gateway_->process.control().retry_failed_events();
  }
}

milliseconds Supervisor::until_due(milliseconds wait_max) const {
  const Time time = now();
  milliseconds wait = wait_max;
  const auto consider = [&](const std::optional<Time>& due) {
    if (due) wait = std::min(wait, std::chrono::ceil<milliseconds>(*due - time));
  };
  for (const auto& model : models_) {
    consider(model->restart_at);
    consider(model->give_up_at);
    if (model->worker) consider(model->worker->output().due(time));
  }
  consider(gateway_restart_at_);
  if (gateway_) {
    consider(gateway_->process.process().output().due(time));
    if (gateway_->awaited()) consider(gateway_->give_up_at);
    if (gateway_->process.control().relay().has_failed()) consider(time + kLogRetry);
  }
  return std::max(wait, milliseconds(0));
}

Supervisor::Waits Supervisor::waits(int signal_fd) {
  const Time time = now();
  Waits waits;
  waits.add(signal_fd, POLLIN);
  if (gateway_) {
    Process& process = gateway_->process.process();
    const GatewayControl& control = gateway_->process.control();
    waits.add(process.exit_fd(), POLLIN);
    waits.add(process.output().fd_to_poll(time), POLLIN);
    waits.add(control.relay().notify_fd(), POLLIN);
    // One that broke the protocol is not listened to; its end is all that is waited for.
    const int wanted = POLLIN | (control.wants_to_send() ? POLLOUT : 0);
    if (!gateway_->breach) waits.add(control.fd(), wanted);
  }
  for (const auto& model : models_) {
    if (!model->worker) continue;
    waits.add(model->worker->exit_fd(), POLLIN);
    waits.add(model->worker->output().fd_to_poll(time), POLLIN);
    const int wanted = POLLIN | (model->worker->wants_to_send() ? POLLOUT : 0);
    if (!model->breach) waits.add(model->worker->control_fd(), wanted);
  }
  return waits;
}

void Supervisor::handle_ready(const Waits& waits) {
  const Time time = now();
  for (const auto& model : models_) {
    if (!model->worker) continue;
    ProcessOutput& output = model->worker->output();
    if (waits.ready(output.fd_to_poll(time))) output.read(time);
    if (waits.ready(model->worker->control_fd())) handle_worker(*model);
    if (waits.ready(model->worker->exit_fd())) worker_ended(*model);
  }
  if (!gateway_) return;
  ProcessOutput& output = gateway_->process.process().output();
  if (waits.ready(output.fd_to_poll(time))) output.read(time);
  if (waits.ready(gateway_->process.control().fd())) handle_gateway();
  if (waits.ready(gateway_->process.control().relay().notify_fd())) {
    gateway_->process.control().acknowledge();
  }
  if (waits.ready(gateway_->process.process().exit_fd())) gateway_ended();
}

Result<Supervisor::Turn> Supervisor::turn(int signal_fd, milliseconds wait_max) {
  Waits ready = waits(signal_fd);
  const int count = ::poll(ready.fds.data(), ready.fds.size(),
                           static_cast<int>(until_due(wait_max).count()));
  if (count < 0 && errno != EINTR) return os_error("poll");
  if (ready.ready(signal_fd)) return Turn::kSignalled;
  if (count > 0) handle_ready(ready);
  do_what_is_due();
  flush_gateway();
  return Turn::kDone;
}

Result<void> Supervisor::run(int signal_fd) {
  for (;;) {
    MLXGUARD_TRY_ASSIGN(const Turn done, turn(signal_fd, kWaitMax));
    if (done == Turn::kSignalled) break;
  }
  drain(signal_fd);
  return {};
}

void Supervisor::drain(int signal_fd) {
  signalfd_siginfo first{};
  [[maybe_unused]] const auto ignored = ::read(signal_fd, &first, sizeof(first));
  const Time until = now() + parts_.drain_time_max;
  if (gateway_) {
    if (auto packet = wire::pack(ipc::Drain{parts_.drain_time_max.count()})) {
      gateway_->process.control().send(*std::move(packet));
    }
    flush_gateway();
  }
  // The gateway finishes what it holds and ends; its last events are acknowledged on the way.
  while (gateway_ && !gateway_->breach && now() < until) {
    Process& process = gateway_->process.process();
    Waits ready;
    ready.add(signal_fd, POLLIN);
    ready.add(process.exit_fd(), POLLIN);
    ready.add(gateway_->process.control().fd(),
              POLLIN | (gateway_->process.control().wants_to_send() ? POLLOUT : 0));
    ready.add(gateway_->process.control().relay().notify_fd(), POLLIN);
    ::poll(ready.fds.data(), ready.fds.size(), 100);
    if (ready.ready(signal_fd)) break;
    handle_gateway();
    gateway_->process.control().acknowledge();
    flush_gateway();
    process.output().read(now());
    if (ready.ready(process.exit_fd())) {
      hear_last_words();
      break;
    }
  }
  gateway_.reset();  // kills what has not ended
  for (const auto& model : models_) {
    if (model->worker) model->worker->kill(sandbox::KillReason::kShutdown);
    model->worker.reset();
  }
  record::Event stopped{.kind = record::Kind::kServerStopped};
  stopped.message = "stopped in order";
  report(stopped);
}

}  // namespace mlxguard::launch
