// SPDX-License-Identifier: Apache-2.0
// One call at a time over a channel of one's own, waited for: for the command line, which has
// nothing else to do. Input: a server that may be compromised.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "call/ledger.h"
#include "call/outcome.h"

namespace mlxguard::call {

struct BlockingRequest {
  std::string task;
  std::vector<std::uint8_t> payload;
  std::chrono::steady_clock::time_point deadline;
};

/// Asks and waits; `on_part` takes each part, and its error ends the call. Errors: `on_part`'s,
/// kDeadline somewhat after the deadline (the server has its own, and its answer comes first),
/// kWorkerUnavailable when the server is gone, kWorkerProtocol. What the server says of a failure
/// is an outcome and no error.
[[nodiscard]] Result<Outcome> ask_and_wait(wire::Channel& channel, const BlockingRequest& request,
                                           const std::function<Result<void>(Bytes part)>& on_part);

}  // namespace mlxguard::call
