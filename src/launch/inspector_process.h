// SPDX-License-Identifier: Apache-2.0
// InspectorProcess: the Inspector that is a locked process. A file that kills it, or takes too
// long, is a gap of the report; the next file gets a new process. Descriptors are handed over,
// paths never. Input: what the process answers; it may be compromised, then its answers are wrong
// but bounded.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "inspect/inspector.h"
#include "launch/process_output.h"
#include "sandbox/host.h"
#include "sandbox/spawn.h"
#include "wire/channel.h"

namespace mlxguard::launch {

struct InspectorPlan {
  const sandbox::Host* host = nullptr;  ///< what this machine allows
  int program_fd = -1;                  ///< mlxguard-inspector, opened; stays the caller's
  std::chrono::milliseconds file_time_max{20'000};  ///< for any file, besides its size's share
  std::uint64_t bytes_per_second_min = 20'000'000;  ///< what a file's size adds to that
  std::uint64_t memory_bytes_max = 1ull << 30;
  ProcessOutput::Print print = print_to_standard_error;  ///< takes the lines that it writes
};

/// Not thread-safe. Destroying it kills the process.
class InspectorProcess final : public inspect::Inspector {
 public:
  explicit InspectorProcess(const InspectorPlan& plan) : plan_(plan) {}

  /// Errors: kSandbox, kSandboxLevel, kWorkerStart (no process can be had at all).
  [[nodiscard]] Result<inspect::FileReport> inspect(int fd, std::uint64_t size_bytes,
                                                    const inspect::FileContext& context) override;

  /// How many files ended their process.
  [[nodiscard]] std::size_t crashes() const { return crashes_; }

 private:
  [[nodiscard]] Result<void> ensure_running();
  /// The answer, or an error for whatever ended the process; then there is none any more.
  [[nodiscard]] Result<inspect::FileReport> ask(int fd, std::uint64_t size_bytes,
                                                const inspect::FileContext& context);

  InspectorPlan plan_;
  std::optional<sandbox::Child> child_;
  ProcessOutput output_;
  wire::Channel control_;
  std::uint64_t next_id_ = 1;
  std::size_t crashes_ = 0;
};

}  // namespace mlxguard::launch
