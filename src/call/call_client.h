// SPDX-License-Identifier: Apache-2.0
// CallClient: the client's end of calls to one worker, for one life of it. Input: a worker's
// messages; the worker may be compromised. An answer that nobody asked for, more parts than credit,
// anything after an end: each breaks the protocol, the link ends, and the worker is to be killed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "call/call.h"
#include "call/ledger.h"

namespace mlxguard::call {

struct CallClientOptions {
  std::size_t in_flight_max = 2;  ///< calls that the worker holds at once
  /// A worker is overdue that has sent nothing for so long while it held a call past its deadline.
  std::chrono::milliseconds silence_max{60'000};
  /// How much later than that: a step may be about to end.
  std::chrono::milliseconds grace{2'000};
};

class CallClient final : public Call::Holder, public std::enable_shared_from_this<CallClient> {
 public:
  struct Handlers {
    std::function<void()> on_room;     ///< has_room() may have become true
    std::function<void()> on_gone;     ///< nothing more can be sent; once
    std::function<void()> on_overdue;  ///< the worker is to be killed: silent, or broke the rules
  };

  CallClient(async::Executor executor, wire::Channel channel, CallClientOptions options,
             Handlers handlers);
  ~CallClient() override;

  /// Starts to receive; once.
  void start();
  [[nodiscard]] bool is_gone() const { return gone_; }
  [[nodiscard]] bool has_room() const {
    return !gone_ && outgoing_.empty() && held_.size() < options_.in_flight_max;
  }
  /// Sends the call; only with room. A request that cannot be sent is the call's outcome.
  void open(Call& call);
  /// Takes back the calls that were sent and that the worker has not begun, oldest first. Only when
  /// it is gone, or right before end().
  [[nodiscard]] std::vector<Call*> take_back();
  /// The worker is gone for good: ends every call that it held, and calls no handler any more.
  void end(const Error& reason);

 private:
  struct Held {
    Call* call = nullptr;  ///< null: the asker has given it up, the worker has not ended it yet
    std::uint32_t taken = 0;  ///< by the asker, and not yet told to the worker
    std::uint32_t window = 1;
    SteadyTime deadline;
  };

  void give_up(Call& call) override;
  void taken(Call& call, std::uint32_t parts) override;

  [[nodiscard]] Task<void> receive();
  [[nodiscard]] Task<void> wait_for_room();
  [[nodiscard]] Task<void> watch();
  [[nodiscard]] Result<void> handle(wire::Received received);
  void on_begun(Held& held);
  void on_end(const Held& held, wire::Received received, Ledger::Event event);
  void send(Result<wire::Packet> packet);
  void flush();
  void hang_up();
  void report_overdue();
  [[nodiscard]] SteadyTime overdue_at() const;

  async::Executor executor_;
  wire::Channel channel_;
  async::Descriptor descriptor_;  ///< the channel's descriptor, for waiting; the channel owns it
  CallClientOptions options_;
  Handlers handlers_;
  async::Timer watch_timer_;
  Ledger ledger_;
  std::map<std::uint64_t, Held> held_;  ///< the calls of the ledger, oldest first
  std::deque<wire::Packet> outgoing_;
  SteadyTime progress_{};  ///< when the worker last sent something, or got its first call
  bool blocked_ = false;   ///< the socket is full; wait_for_room is waiting
  bool gone_ = false;      ///< nothing is sent any more
  bool ended_ = false;
};

}  // namespace mlxguard::call
