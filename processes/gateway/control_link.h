// SPDX-License-Identifier: Apache-2.0
// The channel to the supervisor after start-up: models come and go, events go out, acknowledgements
// come back. Events are never dropped: when too many wait for their acknowledgement, `can_report`
// is false and the gateway answers 503 until it is true again.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "base/process_bounds.h"
#include "front/reporter.h"
#include "ipc/messages.h"
#include "net.h"
#include "record/event.h"
#include "wire/channel.h"

namespace mlxguard::gateway {

struct ControlHandlers {
  std::function<void(ipc::ModelUp, UniqueFd)> model_up;
  std::function<void(ipc::ModelDown)> model_down;
  std::function<void(std::chrono::milliseconds)> drain;
  std::function<void(Error)> lost;  ///< the supervisor is gone, or speaks nonsense: stop at once
};

class ControlLink final : public front::Reporter {
 public:
  /// Events that may wait for their acknowledgement before requests are shed.
  static constexpr std::uint64_t kUnacknowledgedMax = limits::kEventsShedAt;

  ControlLink(Executor executor, wire::Channel channel);
  ~ControlLink() override;
  ControlLink(const ControlLink&) = delete;
  ControlLink& operator=(const ControlLink&) = delete;

  void start(ControlHandlers handlers);
  void ready(std::string isolation, std::uint32_t mechanisms);

  [[nodiscard]] bool can_report() const override {
    return next_sequence_ - 1 - acknowledged_ < kUnacknowledgedMax;
  }
  /// Queues the event and returns its sequence number.
  std::uint64_t report(const record::Event& event) override;
  /// True once the event is durable; false if it is not by `deadline`.
  [[nodiscard]] Task<bool> durable(std::uint64_t sequence, SteadyTime deadline) override;
  void report_overdue(const std::string& model, std::uint64_t generation);

 private:
  struct Waiter {
    std::uint64_t sequence;
    std::shared_ptr<Timer> timer;
  };
  Task<void> receive();
  Task<void> wait_for_room();
  [[nodiscard]] Result<void> dispatch(wire::Received received);
  void acknowledge(std::uint64_t sequence);
  void send(Result<wire::Packet> packet);
  void flush();

  Executor executor_;
  wire::Channel channel_;
  Descriptor descriptor_;  ///< the channel's descriptor, for waiting; the channel owns it
  ControlHandlers handlers_;
  std::deque<wire::Packet> outgoing_;
  bool blocked_ = false;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t acknowledged_ = 0;
  std::deque<Waiter> waiters_;  ///< in the order of their sequence numbers
};

}  // namespace mlxguard::gateway
