// SPDX-License-Identifier: Apache-2.0
// What an operator can set of a model's worker process.
#pragma once

#include <cstdint>

#include "base/setting.h"

namespace mlxguard::limits {

struct WorkerSettings {
  static constexpr std::string_view kTable = "worker";
  std::int64_t memory_bytes_max = 0;
  std::int64_t threads = 0;
  std::int64_t start_timeout_ms = 120'000;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.integer({"memory_bytes_max", "memory limit of one worker; 0: from the model's size"},
                    memory_bytes_max, {0, std::int64_t{1} << 42});
    visitor.integer({"threads", "processor cores a worker may use; 0: every core"}, threads,
                    {0, 1024});
    visitor.integer({"start_timeout_ms", "time for a worker to load its model"}, start_timeout_ms,
                    {100, kDurationMsBounds.max});
  }
};

}  // namespace mlxguard::limits
