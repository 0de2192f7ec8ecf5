// SPDX-License-Identifier: Apache-2.0
#include "call/call_client.h"

#include <algorithm>

namespace mlxguard::call {
namespace {

/// Waiting Cancels and Credits: a worker that reads nothing for so long is broken.
constexpr std::size_t kOutgoingMax = 8 * kCallsMax;

Error breach(const char* what) { return make_error(ErrorCode::kWorkerProtocol, what); }

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
  open.id = next_id_++;
  open.deadline_ns = nanoseconds(call.request_.deadline);
  open.credit = std::clamp(call.request_.window, std::uint32_t{1}, kCreditMax);
  open.tell_begun = !held_.empty();  // else the worker begins at once
  open.task = call.request_.task;
  auto packet = wire::pack_with_body(open, call.request_.payload);
  if (!packet) return call.finish(LinkError(std::move(packet).error()));
  const SteadyTime now = std::chrono::steady_clock::now();
  if (held_.empty()) progress_ = now;
  Held held;
  held.call = &call;
  held.credit = held.window = open.credit;
  held.begun = !open.tell_begun;
  held.deadline = call.request_.deadline;
  call.id_ = open.id;
  call.holder_ = weak_from_this();
  ++call.attempts_;
  if (held.begun) std::vector<std::uint8_t>().swap(call.request_.payload);  // never sent again
  held_.emplace(open.id, held);
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
  held.credit += held.taken;
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
  if (received.is<Begun>()) return on_begun(received);
  if (received.is<Part>()) return on_part(std::move(received));
  return on_end(std::move(received));
}

Result<void> CallClient::on_begun(const wire::Received& received) {
  MLXGUARD_TRY_ASSIGN(const auto message, received.as<Begun>());
  const auto found = held_.find(message.id);
  if (found == held_.end() || found->second.begun) return breach("the begin of no call");
  found->second.begun = true;
  if (Call* const call = found->second.call; call != nullptr) {
    std::vector<std::uint8_t>().swap(call->request_.payload);  // never sent again
  }
  return {};
}

Result<void> CallClient::on_part(wire::Received received) {
  MLXGUARD_TRY_ASSIGN(const auto read, received.with_body<Part>());
  const auto found = held_.find(read.first.id);
  if (found == held_.end()) return breach("a part of no call");
  Held& held = found->second;
  if (!held.begun || held.credit == 0) return breach("a part that was not asked for");
  --held.credit;
  if (held.call != nullptr) held.call->deliver({std::move(received), read.second});
  return {};
}

Result<void> CallClient::on_end(wire::Received received) {
  MLXGUARD_TRY_ASSIGN(auto read, received.with_body<End>());
  End& end = read.first;
  const auto found = held_.find(end.id);
  if (found == held_.end()) return breach("the end of no call");
  const Held held = found->second;
  const ErrorCodeRow* row = end.code.empty() ? nullptr : find_error_code(end.code);
  const bool failed = !end.code.empty();
  if (failed && (row == nullptr || end.has_part)) return breach("an end that says nothing known");
  if (end.reason.size() > kReasonBytesMax) return breach("an end of too many words");
  if (!end.has_part && !read.second.empty()) return breach("an end longer than its fields");
  if (end.has_part && (held.credit == 0 || !held.begun)) {
    return breach("a last part that was not asked for");
  }
  if (!failed && !held.begun) return breach("an answer to a call that never began");
  held_.erase(found);
  if (held.call == nullptr) return {};
  if (failed) {
    held.call->finish(WorkerError(row->code, std::move(end.reason)));
    return {};
  }
  const Usage usage = end.usage;
  if (end.has_part) held.call->deliver({std::move(received), read.second});
  held.call->finish(usage);
  return {};
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
    if (held.begun || held.call == nullptr) continue;
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
