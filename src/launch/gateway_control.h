// SPDX-License-Identifier: Apache-2.0
// GatewayControl: the supervisor's end of the channel to one gateway process. Input: messages of a
// process that may be compromised. It enforces what the gateway only promises: sizes, order, how
// many events wait, `ready` once, one report for each worker that was announced. Anything else is
// a breach, and the gateway is replaced.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ipc/messages.h"
#include "launch/event_relay.h"
#include "launch/outbox.h"
#include "sandbox/isolation.h"
#include "wire/channel.h"

namespace mlxguard::launch {

/// Not thread-safe.
class GatewayControl {
 public:
  /// `socket` is the supervisor's end of the channel, `promised` what the probe of this machine
  /// found, `spawned` what spawn put in place.
  GatewayControl(UniqueFd socket, std::unique_ptr<EventRelay> relay,
                 sandbox::IsolationReport promised, sandbox::IsolationReport spawned);

  /// A worker that holds a request past its deadline, or speaks nonsense, by the gateway's word.
  struct Overdue {
    std::string model;
    std::uint64_t generation = 0;
  };
  struct Heard {
    bool became_ready = false;
    std::vector<Overdue> overdue;
  };
  /// Handles messages that are waiting, at most limits::kControlMessagesPerTurn, and submits their
  /// events. Does not block. A gateway that is gone is not an error: its pidfd says so. Errors:
  /// kWorkerProtocol, kWorkerSeals, kSandboxLevel; after one, this object is to be dropped.
  [[nodiscard]] Result<Heard> advance();

  /// Queues; flush() sends.
  void send(wire::Packet packet) { outbox_.add(std::move(packet)); }
  /// Tells the gateway of a worker; only such a worker may be reported as overdue.
  [[nodiscard]] Result<void> announce(const ipc::ModelUp& up, UniqueFd data_channel);
  /// Sends what waits, as far as there is room. kWorkerProtocol if the gateway has stopped reading.
  [[nodiscard]] Result<void> flush() { return outbox_.flush(channel_); }
  /// Tells the gateway which of its events are durable, and tries failed ones again.
  void acknowledge();
  void retry_failed_events() { relay_->retry_failed(); }

  [[nodiscard]] bool ready() const { return ready_; }
  /// To wait on; -1 once the gateway has closed its end.
  [[nodiscard]] int fd() const { return hung_up_ ? -1 : channel_.fd(); }
  [[nodiscard]] bool hung_up() const { return hung_up_; }
  [[nodiscard]] bool wants_to_send() const { return !outbox_.empty(); }
  [[nodiscard]] const EventRelay& relay() const { return *relay_; }

 private:
  [[nodiscard]] Result<void> handle(const wire::Received& received, Heard& heard);
  [[nodiscard]] Result<void> handle_ready(const wire::Received& received);
  [[nodiscard]] Result<void> handle_event(const wire::Received& received);
  [[nodiscard]] Result<Overdue> handle_overdue(const wire::Received& received);

  struct Announced {
    std::uint64_t generation = 0;          ///< the last that was announced
    std::uint64_t overdue_generation = 0;  ///< the last that was reported; 0: none
  };

  wire::Channel channel_;
  std::unique_ptr<EventRelay> relay_;
  sandbox::IsolationReport promised_;
  sandbox::IsolationReport spawned_;
  Outbox outbox_;
  std::map<std::string, Announced, std::less<>> announced_;
  bool ready_ = false;
  bool hung_up_ = false;
};

}  // namespace mlxguard::launch
