// SPDX-License-Identifier: Apache-2.0
// Reporter: where the events of requests go, and how one learns that they are durable.
#pragma once

#include <cstdint>

#include "async/task.h"
#include "record/event.h"

namespace mlxguard::front {

/// What of a request's events is durable before its answer leaves
/// (docs/adr/0012-streams-and-durability.md).
enum class AnswerAfter : std::uint8_t {
  kNone,
  kAccepted,  ///< that it was accepted
  kOutcome,   ///< how it ended; of a streamed answer this holds for its last bytes
};

class Reporter {
 public:
  virtual ~Reporter() = default;
  /// False while too many events wait to become durable: requests are to be shed then.
  [[nodiscard]] virtual bool can_report() const = 0;
  /// Takes the event and returns its number, which grows from event to event.
  virtual std::uint64_t report(const record::Event& event) = 0;
  /// True once the event is durable; false if it is not by `deadline`.
  [[nodiscard]] virtual async::Task<bool> durable(std::uint64_t number,
                                                  async::SteadyTime deadline) = 0;
};

}  // namespace mlxguard::front
