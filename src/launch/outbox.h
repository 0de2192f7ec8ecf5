// SPDX-License-Identifier: Apache-2.0
// Outbox: messages on their way to a process that may be compromised, and then may not read them.
// Sending never blocks, and the queue is bounded.
#pragma once

#include <deque>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/channel.h"

namespace mlxguard::launch {

/// Not thread-safe.
class Outbox {
 public:
  /// Beyond this many messages the process has stopped reading.
  static constexpr std::size_t kWaitingMax = 4096;

  /// `descriptors` are those of the packet that nobody else keeps open until it has left.
  void add(wire::Packet packet, std::vector<UniqueFd> descriptors = {}) {
    if (!peer_gone_) waiting_.push_back({std::move(packet), std::move(descriptors)});
  }
  /// Sends as far as there is room. A peer that is gone takes everything. Errors: kWorkerProtocol
  /// if too much waits; kIo.
  [[nodiscard]] Result<void> flush(wire::Channel& channel);
  [[nodiscard]] bool empty() const { return waiting_.empty(); }

 private:
  struct Waiting {
    wire::Packet packet;
    std::vector<UniqueFd> descriptors;
  };
  std::deque<Waiting> waiting_;
  bool peer_gone_ = false;
};

}  // namespace mlxguard::launch
