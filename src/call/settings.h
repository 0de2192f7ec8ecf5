// SPDX-License-Identifier: Apache-2.0
// What an operator can set of the queue in front of a model's worker.
#pragma once

#include <cstdint>

#include "base/setting.h"

namespace mlxguard::call {

struct QueueSettings {
  static constexpr std::string_view kTable = "limits";
  std::int64_t queue_max = 256;
  std::int64_t in_flight_max = 2;
  std::int64_t request_timeout_ms = 60'000;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.integer(
        {"queue_max", "requests of one model that wait; beyond: 503 with Retry-After"}, queue_max,
        {0, 100'000});
    visitor.integer({"in_flight_max", "requests a worker holds at once"}, in_flight_max, {1, 64});
    visitor.integer({"request_timeout_ms",
                     "time from a request's head to its answer; after it: 504, and a worker that "
                     "still holds the request is replaced"},
                    request_timeout_ms, kDurationMsBounds);
  }
};

}  // namespace mlxguard::call
