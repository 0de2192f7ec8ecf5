// SPDX-License-Identifier: Apache-2.0
// Process: a program that was started and is to be judged when it ends, with what it writes.
// An interface, so that those who keep processes running can be tested without any.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "launch/process_output.h"
#include "sandbox/spawn.h"
#include "sandbox/verdict.h"

namespace mlxguard::launch {

/// Not thread-safe. The destructor of an implementation kills the process and reaps it.
class Process {
 public:
  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  virtual ~Process() = default;

  [[nodiscard]] virtual int pid() const = 0;
  /// Readable once the process has ended; then reap() does not block.
  [[nodiscard]] virtual int exit_fd() const = 0;
  [[nodiscard]] virtual const sandbox::IsolationReport& isolation() const = 0;
  virtual void kill(sandbox::KillReason reason) = 0;
  /// Waits for the end, and reads the output to its end.
  [[nodiscard]] virtual Result<sandbox::ExitVerdict> reap() = 0;
  /// What it writes to its standard output and error; the owner of the process reads it.
  [[nodiscard]] virtual ProcessOutput& output() = 0;
};

/// Starts the plan's program with its standard output and error in a pipe. `shown_as` stands before
/// each line of them. Errors: kSandbox, kWorkerStart.
[[nodiscard]] Result<std::unique_ptr<Process>> spawn_process(const sandbox::Host& host,
                                                             sandbox::SpawnPlan plan,
                                                             std::string shown_as,
                                                             ProcessOutput::Print print);

}  // namespace mlxguard::launch
