// SPDX-License-Identifier: Apache-2.0
// A progress line for work that takes longer than a second: share, rate and time left. On a
// terminal only.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "output.h"

namespace mlxguard::cli {

class ProgressLine {
 public:
  ProgressLine(const Output& output, const Clock& clock, std::string what);
  ~ProgressLine() { finish(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// May be called from any thread; valid as long as this lives.
  [[nodiscard]] std::function<void(std::uint64_t done, std::uint64_t total)> callback();
  /// Removes the line.
  void finish();

 private:
  void show(std::uint64_t done, std::uint64_t total);
  const Output& output_;
  const Clock& clock_;
  std::string what_;
  std::mutex mutex_;
  /// When the work began to report: what came before, such as typing a passphrase, is no part of
  /// it.
  std::optional<std::chrono::steady_clock::time_point> started_;
  std::uint64_t done_at_start_ = 0;
  std::chrono::steady_clock::time_point shown_at_;
  bool shown_ = false;
};

}  // namespace mlxguard::cli
