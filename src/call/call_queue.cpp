// SPDX-License-Identifier: Apache-2.0
#include "call/call_queue.h"

#include <algorithm>

namespace mlxguard::call {
namespace {

/// How long calls wait for the supervisor to say why their worker is gone.
constexpr std::chrono::seconds kReasonWait{2};
/// Workers that a call may be sent to.
constexpr int kAttemptsMax = 2;

Error unavailable(std::string message) {
  return make_error(ErrorCode::kWorkerUnavailable, std::move(message));
}

}  // namespace

CallQueue::CallQueue(async::Executor executor, CallQueueOptions options)
    : executor_(executor), options_(options) {}

void CallQueue::attach(wire::Channel channel, std::function<void()> on_overdue) {
  end_client(make_error(ErrorCode::kWorkerExited, "a newer worker took its place"));
  const std::weak_ptr<CallQueue> weak = weak_from_this();
  CallClient::Handlers handlers;
  handlers.on_room = [weak] {
    if (const auto self = weak.lock()) self->pump();
  };
  handlers.on_gone = [weak] {
    if (const auto self = weak.lock()) self->worker_gone();
  };
  handlers.on_overdue = std::move(on_overdue);
  client_ = std::make_shared<CallClient>(executor_, std::move(channel), options_.client,
                                         std::move(handlers));
  client_->start();
  pump();
}

std::shared_ptr<Call> CallQueue::ask(Request request) {
  const auto call = std::make_shared<Call>(executor_, std::move(request));
  if (!is_up()) {
    call->finish(LinkError(unavailable("the model's worker is not running")));
    return call;
  }
  const bool goes_at_once = waiting_count_ == 0 && client_->has_room();
  if (!goes_at_once && !make_room(call->request_.key)) {
    call->finish(LinkError(make_error(ErrorCode::kQueueFull, "the model's queue is full")));
    return call;
  }
  wait_for_turn(*call);
  pump();
  return call;
}

bool CallQueue::make_room(const std::string& key) {
  if (waiting_count_ < options_.waiting_max) return true;
  if (waiting_.empty()) return false;
  const auto most = std::max_element(
      waiting_.begin(), waiting_.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  const auto mine = waiting_.find(key);
  const std::size_t count = mine == waiting_.end() ? 0 : mine->second.size();
  if (most->second.size() <= count + 1) return false;
  // The newest call of the key that fills the queue makes room for one of a key that does not.
  Call& shed = *most->second.back();
  most->second.pop_back();
  --waiting_count_;
  shed.finish(LinkError(make_error(ErrorCode::kQueueFull, "the model's queue is full")));
  return true;
}

void CallQueue::wait_for_turn(Call& call) {
  auto& calls = waiting_[call.request_.key];
  if (calls.empty()) turns_.push_back(call.request_.key);
  calls.push_back(&call);
  call.holder_ = weak_from_this();
  ++waiting_count_;
}

void CallQueue::pump() {
  while (is_up() && client_->has_room() && !turns_.empty()) {
    const std::string key = std::move(turns_.front());
    turns_.pop_front();
    const auto found = waiting_.find(key);
    Call& call = *found->second.front();
    found->second.pop_front();
    --waiting_count_;
    if (found->second.empty()) {
      waiting_.erase(found);
    } else {
      turns_.push_back(key);
    }
    client_->open(call);
  }
}

void CallQueue::give_up(Call& call) {
  const auto found = waiting_.find(call.request_.key);
  if (found == waiting_.end()) return;
  const auto place = std::find(found->second.begin(), found->second.end(), &call);
  if (place == found->second.end()) return;
  found->second.erase(place);
  --waiting_count_;
  if (!found->second.empty()) return;
  std::erase(turns_, found->first);
  waiting_.erase(found);
}

/// What had not begun goes to the front again.
void CallQueue::take_back(CallClient& client) {
  std::vector<Call*> calls = client.take_back();
  std::reverse(calls.begin(), calls.end());
  for (Call* const call : calls) {
    if (call->attempts_ >= kAttemptsMax) {
      call->finish(LinkError(make_error(ErrorCode::kWorkerDied,
                                        "two workers ended while they held the request")));
      continue;
    }
    const std::string& key = call->request_.key;
    auto& waiting = waiting_[key];
    if (waiting.empty()) turns_.push_front(key);
    waiting.push_front(call);
    call->holder_ = weak_from_this();
    ++waiting_count_;
  }
}

/// The channel broke. Calls that had begun learn why their worker ended from the supervisor, which
/// comes next.
void CallQueue::worker_gone() {
  take_back(*client_);
  async::asio::co_spawn(
      executor_,
      [self = shared_from_this(), client = client_] { return self->wait_for_reason(client); },
      async::asio::detached);
}

Task<void> CallQueue::wait_for_reason(std::shared_ptr<CallClient> client) {
  async::Timer timer(executor_, kReasonWait);
  co_await timer.async_wait(async::kAwait);
  client->end(make_error(ErrorCode::kWorkerExited, "the worker is gone"));
}

void CallQueue::end_client(const Error& reason) {
  if (client_ == nullptr) return;
  const auto client = std::exchange(client_, nullptr);
  take_back(*client);
  client->end(reason);
}

void CallQueue::detach(const Error& reason, std::chrono::milliseconds retry_after) {
  end_client(reason);
  const SteadyTime back = std::chrono::steady_clock::now() + retry_after;
  std::vector<Call*> hopeless;
  for (const auto& [key, calls] : waiting_) {
    for (Call* const call : calls) {
      if (call->request_.deadline <= back) hopeless.push_back(call);
    }
  }
  for (Call* const call : hopeless) {
    give_up(*call);
    const std::string why(describe(reason.code).meaning);
    call->finish(LinkError(
        unavailable("the model's worker ended while the request waited for it: " + why)
            .about(std::string(name_of(reason.code)))));
  }
}

}  // namespace mlxguard::call
