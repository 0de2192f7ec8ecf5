// SPDX-License-Identifier: Apache-2.0
#include "launch/gateway_control.h"

#include <array>
#include <utility>

#include "base/process_bounds.h"
#include "launch/reported_event.h"

namespace mlxguard::launch {
namespace {

Error breach(const char* what) {
  return make_error(ErrorCode::kWorkerProtocol, std::string("the gateway ") + what);
}

bool is_gone(const Error& error) { return error.code == ErrorCode::kWorkerUnavailable; }

}  // namespace

GatewayControl::GatewayControl(UniqueFd socket, std::unique_ptr<EventRelay> relay,
                               sandbox::IsolationReport promised, sandbox::IsolationReport spawned)
    : channel_(std::move(socket), ipc::kFromGateway),
      relay_(std::move(relay)),
      promised_(std::move(promised)),
      spawned_(std::move(spawned)) {}

Result<GatewayControl::Heard> GatewayControl::advance() {
  Heard heard;
  Result<void> handled;
  for (std::size_t count = 0; count < limits::kControlMessagesPerTurn && handled; ++count) {
    auto received = channel_.try_receive();
    if (!received) {
      hung_up_ = is_gone(received.error());
      if (!hung_up_) handled = std::move(received).error();
      break;
    }
    if (!received->has_value()) break;
    handled = handle(**received, heard);
  }
  // What was reported before a breach happened all the same.
  relay_->submit_added();
  if (!handled) return std::move(handled).error();
  return heard;
}

Result<void> GatewayControl::handle(const wire::Received& received, Heard& heard) {
  switch (static_cast<ipc::MessageType>(received.type)) {
    case ipc::MessageType::kGatewayReady:
      MLXGUARD_TRY(handle_ready(received));
      heard.became_ready = true;
      return {};
    case ipc::MessageType::kReportEvent:
      return handle_event(received);
    case ipc::MessageType::kWorkerOverdue: {
      MLXGUARD_TRY_ASSIGN(Overdue overdue, handle_overdue(received));
      heard.overdue.push_back(std::move(overdue));
      return {};
    }
    default:
      return breach("sent a message that no gateway sends");
  }
}

Result<void> GatewayControl::handle_ready(const wire::Received& received) {
  if (ready_) return breach("said twice that it is ready");
  MLXGUARD_TRY_ASSIGN(const auto ready, received.as<ipc::GatewayReady>());
  sandbox::IsolationReport achieved = sandbox::IsolationReport::from_bits(ready.mechanisms);
  achieved.merge(spawned_);
  MLXGUARD_TRY(sandbox::confirm(promised_, achieved));
  ready_ = true;
  return {};
}

Result<void> GatewayControl::handle_event(const wire::Received& received) {
  if (!ready_) return breach("reported an event before it was ready");
  MLXGUARD_TRY_ASSIGN(auto report, received.as<ipc::ReportEvent>());
  const std::uint64_t sequence = report.sequence;
  MLXGUARD_TRY_ASSIGN(record::Event event, accept_event(std::move(report)));
  return relay_->add(sequence, std::move(event), received.payload.bytes().size());
}

Result<GatewayControl::Overdue> GatewayControl::handle_overdue(const wire::Received& received) {
  MLXGUARD_TRY_ASSIGN(auto overdue, received.as<ipc::WorkerOverdue>());
  const auto found = announced_.find(overdue.model);
  const bool known = found != announced_.end() && overdue.generation <= found->second.generation;
  if (!known) return breach("reported a worker that it was never told of");
  if (overdue.generation <= found->second.overdue_generation) {
    return breach("reported the same worker twice");
  }
  found->second.overdue_generation = overdue.generation;
  return Overdue{std::move(overdue.model), overdue.generation};
}

Result<void> GatewayControl::announce(const ipc::ModelUp& up, UniqueFd data_channel) {
  std::vector<UniqueFd> descriptors;
  descriptors.push_back(std::move(data_channel));
  const std::array<int, 1> borrowed{descriptors.front().get()};
  MLXGUARD_TRY_ASSIGN(wire::Packet packet, wire::pack(up, borrowed));
  announced_[up.name].generation = up.generation;
  outbox_.add(std::move(packet), std::move(descriptors));
  return {};
}

void GatewayControl::acknowledge() {
  const auto sequence = relay_->take_acknowledged();
  if (!sequence) return;
  if (auto packet = wire::pack(ipc::EventAck{*sequence})) send(*std::move(packet));
}

}  // namespace mlxguard::launch
