// SPDX-License-Identifier: Apache-2.0
// Supervisor, gateway: started, told and listened to, replaced when it breaks.
#include <algorithm>

#include "limits/worker_limits.h"
#include "supervisor_state.h"

namespace mlxguard::supervisor {

using record::Attr;
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kGatewayStart{10'000};
/// Beyond this a gateway that does not read its messages is broken.
constexpr std::size_t kGatewayBacklogMax = 4096;

}  // namespace

Result<void> Supervisor::start_gateway() {
  MLXGUARD_TRY_ASSIGN(auto ends, wire::Channel::socket_pair());
  sandbox::SpawnPlan plan;
  plan.binary_fd = parts_.gateway_program.get();
  plan.name = "mlxguard-gateway";
  plan.environment = {"LC_ALL=C.UTF-8"};
  plan.descriptors = {ends.second.get()};
  plan.limits = limits::gateway_limits(static_cast<std::uint64_t>(parts_.config.connections_max));
  MLXGUARD_TRY_ASSIGN(sandbox::Child child, sandbox::spawn(*parts_.host, plan));
  MLXGUARD_TRY_ASSIGN(auto relay, EventRelay::create(*parts_.log));
  gateway_ = std::make_unique<Gateway>(Gateway{std::move(child),
                                               {std::move(ends.first), ipc::kFromGateway},
                                               std::move(relay),
                                               false,
                                               steady_clock::now() + kGatewayStart,
                                               {}});
  const config::ServeConfig& from = parts_.config;
  ipc::GatewayConfig config;
  config.api_keys = parts_.api_keys.hashes;
  config.anonymous_allowed = from.allow_anonymous;
  config.tls_certificate_pem = parts_.tls_certificate_pem;
  config.tls_private_key_pem = parts_.tls_private_key_pem;
  for (const auto& model : models_) config.models.push_back(model->verified->name());
  config.body_bytes_max = static_cast<std::uint64_t>(from.body_bytes_max);
  config.header_bytes_max = static_cast<std::uint32_t>(from.header_bytes_max);
  config.connections_max = static_cast<std::uint32_t>(from.connections_max);
  config.queue_max = static_cast<std::uint32_t>(from.queue_max);
  config.in_flight_max = static_cast<std::uint32_t>(from.in_flight_max);
  config.texts_max = static_cast<std::uint32_t>(from.texts_max);
  config.text_bytes_max = static_cast<std::uint64_t>(from.text_bytes_max);
  config.header_timeout_ms = from.header_timeout_ms;
  config.idle_timeout_ms = from.idle_timeout_ms;
  config.request_timeout_ms = from.request_timeout_ms;
  config.answer_after_event_durable = from.answer_after_durable;
  const Bytes hash_key = parts_.log->correlation_key();
  config.event_hash_key.assign(hash_key.begin(), hash_key.end());
  const std::array<int, 1> sockets{parts_.listener.socket.get()};
  return gateway_->control.send(config, sockets);
}

void Supervisor::send_to_gateway(wire::Packet packet, std::vector<UniqueFd> descriptors) {
  if (!gateway_) return;  // a new gateway is told everything when it is ready
  gateway_->backlog.push_back({std::move(packet), std::move(descriptors)});
  flush_gateway();
}

void Supervisor::flush_gateway() {
  while (!gateway_->backlog.empty()) {
    auto sent = gateway_->control.try_send(gateway_->backlog.front().packet);
    if (!sent) return gateway_->backlog.clear();  // its pidfd will tell that it is gone
    if (*sent == wire::SendStatus::kWouldBlock) break;
    gateway_->backlog.pop_front();
  }
  if (gateway_->backlog.size() > kGatewayBacklogMax) drop_gateway();
}

void Supervisor::drop_gateway() { gateway_->child.kill(sandbox::KillReason::kOverdue); }

Result<void> Supervisor::handle_gateway_message(const wire::Received& received) {
  switch (static_cast<ipc::MessageType>(received.type)) {
    case ipc::MessageType::kGatewayReady: {
      MLXGUARD_TRY_ASSIGN(const auto ready, received.as<ipc::GatewayReady>());
      sandbox::IsolationReport achieved = sandbox::IsolationReport::from_bits(ready.mechanisms);
      achieved.merge(gateway_->child.isolation());
      MLXGUARD_TRY(sandbox::confirm(parts_.host->report(), achieved));
      gateway_->ready = true;
      gateway_restarts_->on_ready(steady_clock::now());
      for (const auto& model : models_) {
        if (model->worker && model->worker->stage() == launch::Stage::kReady) {
          MLXGUARD_TRY(announce(*model));
        }
      }
      return {};
    }
    case ipc::MessageType::kReportEvent: {
      MLXGUARD_TRY_ASSIGN(auto message, received.as<ipc::ReportEvent>());
      const std::uint64_t sequence = message.sequence;
      MLXGUARD_TRY_ASSIGN(record::Event event, std::move(message).to_event());
      if (record::describe(event.kind).line != record::Line::kRequest) {
        return make_error(ErrorCode::kWorkerProtocol,
                          "the gateway reported an event that is not its own")
            .about(std::string(record::describe(event.kind).name));
      }
      return gateway_->relay->submit(sequence, std::move(event));
    }
    case ipc::MessageType::kWorkerOverdue: {
      MLXGUARD_TRY_ASSIGN(const auto overdue, received.as<ipc::WorkerOverdue>());
      for (const auto& model : models_) {
        if (model->verified->name() == overdue.model && model->generation == overdue.generation &&
            model->worker) {
          model->worker->kill(sandbox::KillReason::kOverdue);
        }
      }
      return {};
    }
    default:
      return make_error(ErrorCode::kWorkerProtocol, "the gateway sent a message out of turn");
  }
}

void Supervisor::handle_gateway() {
  for (;;) {
    auto received = gateway_->control.try_receive();
    Result<void> handled;
    if (!received) {
      if (received.error().code == ErrorCode::kWorkerUnavailable) return;
      handled = std::move(received).error();
    } else if (!received->has_value()) {
      return;
    } else {
      handled = handle_gateway_message(**received);
    }
    if (!handled) {
      // A gateway that breaks the protocol may be compromised: it is replaced, not argued with.
      record::Event broken = record::event_of(record::Kind::kWorkerDied, handled.error());
      report(broken.set(Attr::kProcess, "gateway").set(Attr::kPid, gateway_->child.pid()));
      drop_gateway();
      return;
    }
  }
}

void Supervisor::gateway_ended() {
  const auto pid = gateway_->child.pid();
  const sandbox::ExitVerdict verdict = judged(gateway_->child.wait());
  gateway_.reset();
  for (const auto& model : models_) model->announced = false;
  const limits::RestartDecision decision = gateway_restarts_->on_death(steady_clock::now());
  gateway_restart_at_ = steady_clock::now() + decision.delay;
  record::Event died =
      record::event_of(record::Kind::kWorkerDied, verdict_error(verdict, "gateway"));
  died.set(Attr::kProcess, "gateway").set(Attr::kPid, pid);
  died.outcome = record::Outcome::kFailed;
  add_usage(died, verdict);
  died.set(Attr::kRestartInMs, std::chrono::ceil<milliseconds>(decision.delay).count());
  report(died);
}

void Supervisor::acknowledge_events() {
  if (!gateway_) return;
  if (const auto sequence = gateway_->relay->take_acknowledged()) {
    if (auto packet = wire::pack(ipc::EventAck{*sequence})) send_to_gateway(*std::move(packet));
  }
}

}  // namespace mlxguard::supervisor
