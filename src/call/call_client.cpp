// SPDX-License-Identifier: Apache-2.0
#include "call/call_client.h"

#include <algorithm>

namespace mlxguard::call {
namespace {

/// Waiting Cancels and Credits: a worker that reads nothing for so long is broken.
constexpr std::size_t kOutgoingMax = 8 * kCallsMax;

std::int64_t nanoseconds(SteadyTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

}  // namespace

CallClient::CallClient(async::Executor executor, wire::Channel channel, CallClientOptions options,
                       Handlers handlers)
    : executor_(executor),
      channel_(std::move(channel)),
      descriptor_(executor, channel_.fd()),
      options_(options),
      handlers_(std::move(handlers)),
      watch_timer_(executor) {
  options_.in_flight_max = std::min(options_.in_flight_max, kCallsMax);
}

CallClient::~CallClient() { descriptor_.release(); }

void CallClient::start() {
  async::asio::co_spawn(
      executor_, [self = shared_from_this()] { return self->receive(); }, async::asio::detached);
  async::asio::co_spawn(
      executor_, [self = shared_from_this()] { return self->watch(); }, async::asio::detached);
}

void CallClient::open(Call& call) {
  Open open;
  open.deadline_ns = nanoseconds(call.request_.deadline);
  open.credit = std::clamp(call.request_.window, std::uint32_t{1}, kCreditMax);
  open.tell_begun = !held_.empty();  // else the worker begins at once
  open.task = call.request_.task;
  open.id = ledger_.open(open.credit, open.tell_begun);
  auto packet = wire::pack_with_body(open, call.request_.payload);
  if (!packet) {
    ledger_.forget(open.id);
    return call.finish(LinkError(std::move(packet).error()));
  }
  const SteadyTime now = std::chrono::steady_clock::now();
  if (held_.empty()) progress_ = now;
  Held held;
  held.call = &call;
  held.window = open.credit;
  held.deadline = call.request_.deadline;
  call.id_ = open.id;
  call.holder_ = weak_from_this();
  ++call.attempts_;
  Held& kept = held_.emplace(open.id, held).first->second;
  if (!open.tell_begun) on_begun(kept);
  send(std::move(packet));
}

void CallClient::give_up(Call& call) {
  const auto found = held_.find(call.id_);
  if (found == held_.end() || found->second.call != &call) return;
  found->second.call = nullptr;
  if (!gone_) send(wire::pack(Cancel{call.id_}));
}

void CallClient::taken(Call& call, std::uint32_t parts) {
  const auto found = held_.find(call.id_);
  if (found == held_.end() || gone_) return;
  Held& held = found->second;
  held.taken += parts;
  if (held.taken * 2 < held.window) return;  // told in few messages
  ledger_.grant(call.id_, held.taken);
  send(wire::pack(Credit{call.id_, std::exchange(held.taken, 0)}));
}

void CallClient::send(Result<wire::Packet> packet) {
  // Only memory can be lacking here, and a worker that is not told goes on for nobody.
  if (!packet || outgoing_.size() >= kOutgoingMax) return hang_up();
  outgoing_.push_back(*std::move(packet));
  flush();
}

void CallClient::flush() {
  while (!gone_ && !blocked_ && !outgoing_.empty()) {
    const auto sent = channel_.try_send(outgoing_.front());
    if (!sent) return hang_up();
    if (*sent == wire::SendStatus::kWouldBlock) {
      blocked_ = true;
      async::asio::co_spawn(
          executor_, [self = shared_from_this()] { return self->wait_for_room(); },
          async::asio::detached);
      return;
    }
    outgoing_.pop_front();
  }
}

Task<void> CallClient::wait_for_room() {
  const auto self = shared_from_this();
  co_await descriptor_.async_wait(async::Descriptor::wait_write, async::kAwait);
  blocked_ = false;
  flush();
  if (has_room() && handlers_.on_room) handlers_.on_room();
}

Task<void> CallClient::receive() {
  const auto self = shared_from_this();
  while (!gone_) {
    const auto [error] =
        co_await descriptor_.async_wait(async::Descriptor::wait_read, async::kAwait);
    if (error || gone_) co_return;
    for (;;) {
      auto received = channel_.try_receive();
      const bool is_there = received && received->has_value();
      if (received && !is_there) break;
      auto handled = is_there ? handle(std::move(**received)) : Result<void>(received.error());
      if (!handled) {
        if (handled.error().code != ErrorCode::kWorkerUnavailable) report_overdue();
        hang_up();
        co_return;
      }
      if (gone_) co_return;
    }
    if (has_room() && handlers_.on_room) handlers_.on_room();
  }
}

Result<void> CallClient::handle(wire::Received received) {
  progress_ = std::chrono::steady_clock::now();
  MLXGUARD_TRY_ASSIGN(Ledger::Event event, ledger_.check(received));
  const auto found = held_.find(event.id);
  MLXGUARD_CHECK(found != held_.end());
  Held& held = found->second;
  switch (event.kind) {
    case Ledger::Event::Kind::kBegun:
      on_begun(held);
      break;
    case Ledger::Event::Kind::kPart:
      if (held.call != nullptr) held.call->deliver({std::move(received), *event.part});
      break;
    case Ledger::Event::Kind::kEnd: {
      const Held ended = held;
      held_.erase(found);
      on_end(ended, std::move(received), std::move(event));
      break;
    }
  }
  return {};
}

/// What has begun is never sent again.
void CallClient::on_begun(Held& held) {
  if (held.call != nullptr) std::vector<std::uint8_t>().swap(held.call->request_.payload);
}

void CallClient::on_end(const Held& held, wire::Received received, Ledger::Event event) {
  if (held.call == nullptr) return;
  if (event.failure != nullptr) {
    return held.call->finish(WorkerError(event.failure->code, std::move(event.end.reason)));
  }
  if (event.part) held.call->deliver({std::move(received), *event.part});
  held.call->finish(event.end.usage);
}

SteadyTime CallClient::overdue_at() const {
  if (held_.empty()) return std::chrono::steady_clock::now() + options_.silence_max;
  SteadyTime deadline = SteadyTime::max();
  for (const auto& [id, held] : held_) deadline = std::min(deadline, held.deadline);
  return std::max(deadline, progress_ + options_.silence_max) + options_.grace;
}

Task<void> CallClient::watch() {
  const auto self = shared_from_this();
  while (!ended_) {
    watch_timer_.expires_at(overdue_at());
    co_await watch_timer_.async_wait(async::kAwait);
    if (ended_) co_return;
    if (!held_.empty() && std::chrono::steady_clock::now() >= overdue_at()) {
      report_overdue();
      co_return;
    }
  }
}

void CallClient::report_overdue() {
  if (!handlers_.on_overdue) return;
  const auto report = std::exchange(handlers_.on_overdue, nullptr);
  report();
}

void CallClient::hang_up() {
  if (gone_) return;
  gone_ = true;
  outgoing_.clear();
  descriptor_.cancel();
  if (handlers_.on_gone) {
    const auto on_gone = std::exchange(handlers_.on_gone, nullptr);
    on_gone();
  }
}

std::vector<Call*> CallClient::take_back() {
  std::vector<Call*> calls;
  for (auto& [id, held] : held_) {
    if (held.call == nullptr || ledger_.has_begun(id)) continue;
    held.call->holder_.reset();
    calls.push_back(std::exchange(held.call, nullptr));
  }
  return calls;
}

void CallClient::end(const Error& reason) {
  if (ended_) return;
  ended_ = true;
  handlers_ = {};
  hang_up();
  watch_timer_.cancel();
  for (const auto& [id, held] : std::exchange(held_, {})) {
    if (held.call == nullptr) continue;
    held.call->finish(
        LinkError(make_error(ErrorCode::kWorkerDied,
                             "the model's worker ended while it held the request: " +
                                 std::string(describe(reason.code).meaning))
                      .about(std::string(name_of(reason.code)))));
  }
}

}  // namespace mlxguard::call
