// SPDX-License-Identifier: Apache-2.0
// CallQueue: the calls to one model, over all the lives of its worker. Bounded; calls of different
// keys alternate, so that one client's many requests do not hold up another one's first. A call
// that no worker had begun when its worker died waits for the next worker; one that had begun ends
// with kWorkerDied. A call goes to two workers at most: a request that kills whoever takes it must
// not go round for ever.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "call/call_client.h"

namespace mlxguard::call {

struct CallQueueOptions {
  std::size_t waiting_max = 256;
  CallClientOptions client;
};

class CallQueue final : public Call::Holder, public std::enable_shared_from_this<CallQueue> {
 public:
  CallQueue(async::Executor executor, CallQueueOptions options);

  /// A worker is ready. `on_overdue` is called at most once, if it is to be killed.
  void attach(wire::Channel channel, std::function<void()> on_overdue);
  /// The worker is gone, and why. Ends what it had begun; calls whose deadline comes before another
  /// worker could, `retry_after` from now, end too.
  void detach(const Error& reason, std::chrono::milliseconds retry_after);
  /// A worker takes calls.
  [[nodiscard]] bool is_up() const { return client_ != nullptr && !client_->is_gone(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_count_; }

  /// Sends the call, or lets it wait for its turn. One that is refused has its outcome already:
  /// kWorkerUnavailable without a worker, kQueueFull.
  [[nodiscard]] std::shared_ptr<Call> ask(Request request);

 private:
  using Waiting = std::map<std::string, std::deque<Call*>>;

  void give_up(Call& call) override;
  void taken(Call&, std::uint32_t) override {}

  /// False if the queue is full of calls whose keys have no more than this one.
  [[nodiscard]] bool make_room(const std::string& key);
  void wait_for_turn(Call& call);
  void pump();
  void take_back(CallClient& client);
  void worker_gone();
  [[nodiscard]] Task<void> wait_for_reason(std::shared_ptr<CallClient> client);
  void end_client(const Error& reason);

  async::Executor executor_;
  CallQueueOptions options_;
  std::shared_ptr<CallClient> client_;
  Waiting waiting_;                ///< only keys that have calls
  std::deque<std::string> turns_;  ///< the keys of `waiting_`, whose turn comes next first
  std::size_t waiting_count_ = 0;
};

}  // namespace mlxguard::call
