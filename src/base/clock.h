// SPDX-License-Identifier: Apache-2.0
// Clock: time by constructor, so that tests decide what time it is.
#pragma once

#include <chrono>

namespace mlxguard {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall time in UTC, for records. Thread-safe.
  [[nodiscard]] virtual WallTime now() const = 0;
  /// Time that never goes back, for durations and deadlines. Thread-safe.
  [[nodiscard]] virtual std::chrono::steady_clock::time_point steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] WallTime now() const override {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now());
  }
  [[nodiscard]] std::chrono::steady_clock::time_point steady() const override {
    return std::chrono::steady_clock::now();
  }
};

}  // namespace mlxguard
