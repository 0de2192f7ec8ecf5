// SPDX-License-Identifier: Apache-2.0
#include "control_link.h"

#include <algorithm>

namespace mlxguard::gateway {

ControlLink::ControlLink(Executor executor, wire::Channel channel)
    : executor_(executor), channel_(std::move(channel)), descriptor_(executor, channel_.fd()) {}

ControlLink::~ControlLink() { descriptor_.release(); }

void ControlLink::start(ControlHandlers handlers) {
  handlers_ = std::move(handlers);
  asio::co_spawn(executor_, [this] { return receive(); }, asio::detached);
}

void ControlLink::ready(std::string isolation, std::uint32_t mechanisms) {
  send(wire::pack(ipc::GatewayReady{std::move(isolation), mechanisms}));
}

std::uint64_t ControlLink::report(const record::Event& event) {
  const std::uint64_t sequence = next_sequence_++;
  send(wire::pack(ipc::ReportEvent::of(sequence, event)));
  return sequence;
}

void ControlLink::report_overdue(const std::string& model, std::uint64_t generation) {
  send(wire::pack(ipc::WorkerOverdue{model, generation}));
}

void ControlLink::send(Result<wire::Packet> packet) {
  // Only memory can be lacking here; without its events the gateway must not go on.
  if (!packet) return handlers_.lost(std::move(packet).error());
  outgoing_.push_back(*std::move(packet));
  flush();
}

void ControlLink::flush() {
  while (!blocked_ && !outgoing_.empty()) {
    const auto sent = channel_.try_send(outgoing_.front());
    if (!sent) return handlers_.lost(sent.error());
    if (*sent == wire::SendStatus::kWouldBlock) {
      blocked_ = true;
      asio::co_spawn(executor_, [this] { return wait_for_room(); }, asio::detached);
      return;
    }
    outgoing_.pop_front();
  }
}

Task<void> ControlLink::wait_for_room() {
  const auto [error] = co_await descriptor_.async_wait(Descriptor::wait_write, kAwait);
  blocked_ = false;
  if (!error) flush();
}

Task<bool> ControlLink::durable(std::uint64_t sequence, SteadyTime deadline) {
  if (sequence <= acknowledged_) co_return true;
  const auto timer = std::make_shared<Timer>(executor_, deadline);
  const auto place = std::upper_bound(
      waiters_.begin(), waiters_.end(), sequence,
      [](std::uint64_t wanted, const Waiter& waiter) { return wanted < waiter.sequence; });
  waiters_.insert(place, Waiter{sequence, timer});
  co_await timer->async_wait(kAwait);
  if (sequence <= acknowledged_) co_return true;
  std::erase_if(waiters_, [&](const Waiter& waiter) { return waiter.timer == timer; });
  co_return false;
}

void ControlLink::acknowledge(std::uint64_t sequence) {
  acknowledged_ = std::max(acknowledged_, std::min(sequence, next_sequence_ - 1));
  while (!waiters_.empty() && waiters_.front().sequence <= acknowledged_) {
    waiters_.front().timer->cancel();
    waiters_.pop_front();
  }
}

Task<void> ControlLink::receive() {
  for (;;) {
    const auto [error] = co_await descriptor_.async_wait(Descriptor::wait_read, kAwait);
    if (error) co_return;
    for (;;) {
      auto received = channel_.try_receive();
      if (!received) {
        handlers_.lost(std::move(received).error());
        co_return;
      }
      if (!received->has_value()) break;
      const auto dispatched = dispatch(std::move(**received));
      if (!dispatched) {
        handlers_.lost(dispatched.error());
        co_return;
      }
    }
  }
}

Result<void> ControlLink::dispatch(wire::Received received) {
  switch (static_cast<ipc::MessageType>(received.type)) {
    case ipc::MessageType::kEventAck: {
      MLXGUARD_TRY_ASSIGN(const ipc::EventAck ack, received.as<ipc::EventAck>());
      acknowledge(ack.sequence);
      return {};
    }
    case ipc::MessageType::kModelUp: {
      MLXGUARD_TRY_ASSIGN(ipc::ModelUp up, received.as<ipc::ModelUp>());
      if (received.descriptors.size() != 1) {
        return make_error(ErrorCode::kWorkerProtocol, "expected a channel with a model");
      }
      handlers_.model_up(std::move(up), std::move(received.descriptors.front()));
      return {};
    }
    case ipc::MessageType::kModelDown: {
      MLXGUARD_TRY_ASSIGN(ipc::ModelDown down, received.as<ipc::ModelDown>());
      handlers_.model_down(std::move(down));
      return {};
    }
    case ipc::MessageType::kDrain: {
      MLXGUARD_TRY_ASSIGN(const ipc::Drain drain, received.as<ipc::Drain>());
      handlers_.drain(std::chrono::milliseconds(drain.grace_ms));
      return {};
    }
    default:
      return make_error(ErrorCode::kWorkerProtocol, "a message that no supervisor sends");
  }
}

}  // namespace mlxguard::gateway
