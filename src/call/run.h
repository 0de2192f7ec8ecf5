// SPDX-License-Identifier: Apache-2.0
// Run: the server's side of one call, as a row of steps. Between two steps the server looks at its
// channels, so a step should take no longer than a client may wait to be let go: one token, one
// batch, one call of a function.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "call/messages.h"

namespace mlxguard::call {

/// What a step came to: perhaps a part of the answer, and whether it was the last step.
struct Step {
  std::optional<std::vector<std::uint8_t>> part;
  bool last = false;

  [[nodiscard]] static Step more() { return {}; }
  [[nodiscard]] static Step of(std::vector<std::uint8_t> part) { return {std::move(part), false}; }
  [[nodiscard]] static Step last_of(std::vector<std::uint8_t> part) {
    return {std::move(part), true};
  }
  [[nodiscard]] static Step end() { return {std::nullopt, true}; }
};

/// Destroying it gives up whatever it holds: that is how a call is cancelled.
class Run {
 public:
  Run() = default;
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  virtual ~Run() = default;

  /// Does the next piece of work. Not called again after an error or the last step.
  [[nodiscard]] virtual Result<Step> next() = 0;
  /// Tokens used so far; the server itself measures the time.
  [[nodiscard]] virtual Usage usage() const { return {}; }
};

/// A call that was opened. `payload` is valid until the Run that is made of it is destroyed.
struct Opening {
  std::string task;
  Bytes payload;
  std::chrono::steady_clock::time_point deadline;
};

/// Makes the Run of a call. Errors are the call's own end.
using Begin = std::function<Result<std::unique_ptr<Run>>(const Opening& opening)>;

}  // namespace mlxguard::call
