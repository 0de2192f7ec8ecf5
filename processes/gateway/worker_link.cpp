// SPDX-License-Identifier: Apache-2.0
#include "worker_link.h"

#include <algorithm>
#include <optional>

namespace mlxguard::gateway {
namespace {

/// How long requests wait for the supervisor to say why their worker is gone.
constexpr std::chrono::seconds kReasonWait{2};

}  // namespace

/// One request on its way. The one who asked waits on the timer; an answer cancels it.
struct WorkerLink::Slot {
  Slot(Executor executor, Kind kind_asked) : timer(executor), kind(kind_asked) {}
  Timer timer;
  Kind kind;
  std::uint64_t id = 0;
  wire::Packet packet;
  std::optional<Result<Reply>> result;
  bool given_up = false;  ///< past its deadline; the worker may still answer
};

WorkerLink::WorkerLink(Executor executor, wire::Channel channel, WorkerLinkOptions options,
                       std::function<void()> on_overdue)
    : executor_(executor),
      channel_(std::move(channel)),
      descriptor_(executor, channel_.fd()),
      options_(options),
      on_overdue_(std::move(on_overdue)),
      watch_timer_(executor),
      end_timer_(executor) {}

WorkerLink::~WorkerLink() { descriptor_.release(); }

void WorkerLink::start() {
  asio::co_spawn(
      executor_, [self = shared_from_this()] { return self->receive(); }, asio::detached);
  asio::co_spawn(executor_, [self = shared_from_this()] { return self->watch(); }, asio::detached);
}

Result<void> WorkerLink::has_room() const {
  if (gone_) {
    return make_error(ErrorCode::kWorkerUnavailable, "the model's worker is not running");
  }
  const bool straight_through = waiting_.empty() && held_.size() < options_.in_flight_max;
  if (!straight_through && waiting_.size() >= options_.queue_max) {
    return make_error(ErrorCode::kQueueFull, "the model's queue is full");
  }
  return {};
}

Result<wire::Packet> WorkerLink::packet_of(Work work, std::uint64_t id, SteadyTime deadline) const {
  const std::int64_t deadline_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
  if (auto* texts = std::get_if<validate::ValidatedTexts>(&work)) {
    ipc::EmbedRequest request{id, deadline_ns, std::move(*texts).take()};
    return wire::pack(request);
  }
  ipc::InferRequest request{id, deadline_ns, {}};
  for (validate::Tensor& tensor : std::get<validate::ValidatedInputs>(std::move(work)).take()) {
    request.inputs.push_back(ipc::WireTensor::of(std::move(tensor)));
  }
  return wire::pack(request);
}

Task<Result<Reply>> WorkerLink::ask(Work work, SteadyTime deadline) {
  const auto self = shared_from_this();
  MLXGUARD_CO_TRY(has_room());
  const Kind kind =
      std::holds_alternative<validate::ValidatedTexts>(work) ? Kind::kEmbed : Kind::kInfer;
  const auto slot = std::make_shared<Slot>(executor_, kind);
  slot->id = next_id_++;
  MLXGUARD_CO_TRY_ASSIGN(slot->packet, packet_of(std::move(work), slot->id, deadline));
  slot->timer.expires_at(deadline);
  waiting_.push_back(slot);
  pump();
  // An answer may be there already; else it, the worker's end or the deadline ends the wait.
  if (!slot->result) co_await slot->timer.async_wait(kAwait);
  if (!slot->result) give_up(slot);
  co_return std::move(*slot->result);
}

void WorkerLink::give_up(const std::shared_ptr<Slot>& slot) {
  const auto queued = std::find(waiting_.begin(), waiting_.end(), slot);
  if (queued != waiting_.end()) waiting_.erase(queued);
  slot->given_up = true;
  slot->packet = {};
  slot->result =
      Result<Reply>(make_error(ErrorCode::kDeadline, "the request did not finish in its time"));
}

void WorkerLink::pump() {
  while (!gone_ && !blocked_ && !waiting_.empty() && held_.size() < options_.in_flight_max) {
    const std::shared_ptr<Slot> slot = waiting_.front();
    const auto sent = channel_.try_send(slot->packet);
    if (!sent) return hang_up(sent.error());
    if (*sent == wire::SendStatus::kWouldBlock) {
      blocked_ = true;
      asio::co_spawn(
          executor_, [self = shared_from_this()] { return self->wait_for_room(); }, asio::detached);
      return;
    }
    if (held_.empty()) progress_ = std::chrono::steady_clock::now();
    slot->packet = {};
    held_.emplace(slot->id, slot);
    waiting_.pop_front();
  }
}

Task<void> WorkerLink::wait_for_room() {
  const auto self = shared_from_this();
  co_await descriptor_.async_wait(Descriptor::wait_write, kAwait);
  blocked_ = false;
  pump();
}

Task<void> WorkerLink::receive() {
  const auto self = shared_from_this();
  while (!gone_) {
    const auto [error] = co_await descriptor_.async_wait(Descriptor::wait_read, kAwait);
    if (error || gone_) co_return;
    for (;;) {
      auto received = channel_.try_receive();
      if (!received) {
        if (received.error().code != ErrorCode::kWorkerUnavailable) report_overdue();
        hang_up(received.error());
        co_return;
      }
      if (!received->has_value()) break;
      if (!deliver(**received)) {
        report_overdue();
        hang_up(make_error(ErrorCode::kWorkerProtocol, "an answer that breaks the protocol"));
        co_return;
      }
      if (gone_) co_return;
    }
    pump();
  }
}

template <class Answer>
bool WorkerLink::deliver_answer(const wire::Received& received, Kind kind) {
  auto answer = received.as<Answer>();
  if (!answer) return false;
  const std::uint64_t id = answer->id;
  return settle(id, kind, Result<Reply>(Reply(std::move(*answer))));
}

bool WorkerLink::deliver(const wire::Received& received) {
  if (!received.descriptors.empty()) return false;
  switch (static_cast<ipc::MessageType>(received.type)) {
    case ipc::MessageType::kInferAnswer:
      return deliver_answer<ipc::InferAnswer>(received, Kind::kInfer);
    case ipc::MessageType::kEmbedAnswer:
      return deliver_answer<ipc::EmbedAnswer>(received, Kind::kEmbed);
    case ipc::MessageType::kRequestFailed: {
      const auto failed = received.as<ipc::RequestFailed>();
      return failed && settle(failed->id, std::nullopt, failed->error.to_error());
    }
    default:
      return false;
  }
}

bool WorkerLink::settle(std::uint64_t id, std::optional<Kind> kind, Result<Reply> result) {
  const auto found = held_.find(id);
  if (found == held_.end()) return false;
  const std::shared_ptr<Slot> slot = found->second;
  if (kind && *kind != slot->kind) return false;
  held_.erase(found);
  progress_ = std::chrono::steady_clock::now();
  if (!slot->given_up) {
    slot->result = std::move(result);
    slot->timer.cancel();
  }
  return true;
}

Task<void> WorkerLink::watch() {
  const auto self = shared_from_this();
  while (!ended_) {
    const SteadyTime from = held_.empty() ? std::chrono::steady_clock::now() : progress_;
    watch_timer_.expires_at(from + options_.request_timeout);
    co_await watch_timer_.async_wait(kAwait);
    if (ended_) co_return;
    const bool silent = std::chrono::steady_clock::now() >= progress_ + options_.request_timeout;
    if (!held_.empty() && silent) {
      report_overdue();
      co_return;
    }
  }
}

void WorkerLink::report_overdue() {
  if (!on_overdue_) return;
  const auto report = std::exchange(on_overdue_, nullptr);
  report();
}

/// The channel is of no use any more. Those who wait learn why from the supervisor, which comes
/// next.
void WorkerLink::hang_up(const Error&) {
  if (gone_) return;
  gone_ = true;
  descriptor_.cancel();
  asio::co_spawn(
      executor_, [self = shared_from_this()] { return self->end_without_reason(); },
      asio::detached);
}

Task<void> WorkerLink::end_without_reason() {
  const auto self = shared_from_this();
  end_timer_.expires_after(kReasonWait);
  co_await end_timer_.async_wait(kAwait);
  end(make_error(ErrorCode::kWorkerExited, "the worker is gone"));
}

void WorkerLink::end(const Error& reason) {
  if (ended_) return;
  gone_ = true;
  ended_ = true;
  descriptor_.cancel();
  watch_timer_.cancel();
  end_timer_.cancel();
  const auto answer = [](const std::shared_ptr<Slot>& slot, Error error) {
    if (slot->given_up || slot->result) return;
    slot->result = Result<Reply>(std::move(error));
    slot->timer.cancel();
  };
  for (const auto& [id, slot] : std::exchange(held_, {})) {
    answer(slot, make_error(ErrorCode::kWorkerDied,
                            "the model's worker ended while it held the request: " +
                                std::string(describe(reason.code).meaning))
                     .about(std::string(name_of(reason.code))));
  }
  for (const auto& slot : std::exchange(waiting_, {})) {
    answer(slot, make_error(ErrorCode::kWorkerUnavailable,
                            "the model's worker ended while the request waited for it: " +
                                std::string(describe(reason.code).meaning))
                     .about(std::string(name_of(reason.code))));
  }
}

}  // namespace mlxguard::gateway
