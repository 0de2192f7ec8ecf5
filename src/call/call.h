// SPDX-License-Identifier: Apache-2.0
// Call: the client's side of one call, from the queue to its outcome. Made by CallQueue.
//
//   const auto call = queue->ask(std::move(request));
//   while (auto part = co_await call->next()) use(part->bytes);
//   switch on call->outcome();
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/task.h"
#include "call/outcome.h"
#include "wire/channel.h"

namespace mlxguard::call {

using async::SteadyTime;
using async::Task;

/// What is asked. Only what was validated becomes a payload: the task's own code makes it.
struct Request {
  std::string task;  ///< row of task/table.h
  std::vector<std::uint8_t> payload;
  SteadyTime deadline;
  std::uint32_t window = 1;  ///< parts that may be under way or unread, at most
  std::string key;           ///< whose turn it is: calls of different keys alternate
};

/// A part of the answer, not checked by anyone yet. `bytes` are valid as long as it lives.
struct ReceivedPart {
  wire::Received message;
  Bytes bytes;
};

class Call {
 public:
  Call(async::Executor executor, Request request);
  /// Gives up what has not ended.
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Waits for the next part. Nothing: the call has ended, and outcome() says how. At the deadline
  /// it ends, and the worker is told. One coroutine at a time.
  [[nodiscard]] Task<std::optional<ReceivedPart>> next();
  /// How the call ended; only after next() gave nothing.
  [[nodiscard]] const Outcome& outcome() const;
  /// Nobody wants the answer any more: ends the call with kClientGone, drops parts that nobody
  /// read, and tells the worker, which stops at its next step.
  void cancel();

 private:
  friend class CallQueue;
  friend class CallClient;

  /// What holds the call: the queue, or a client that sent it to a worker. It refers to the call
  /// by its address: a call that has its outcome, or is destroyed, is in no holder.
  class Holder {
   public:
    virtual ~Holder() = default;
    /// The call is over for its asker.
    virtual void give_up(Call& call) = 0;
    /// The asker has taken so many parts.
    virtual void taken(Call& call, std::uint32_t parts) = 0;
  };

  void deliver(ReceivedPart part);
  void finish(Outcome outcome);
  void give_up(Error error);

  async::Timer timer_;  ///< at the deadline; cancelled to wake up whoever waits in next()
  Request request_;
  std::weak_ptr<Holder> holder_;
  std::deque<ReceivedPart> parts_;
  std::optional<Outcome> outcome_;
  std::uint64_t id_ = 0;  ///< at the worker that has it
  int attempts_ = 0;      ///< workers that it was sent to
};

}  // namespace mlxguard::call
