// SPDX-License-Identifier: Apache-2.0
// WorkerProcess: a worker around one VerifiedModel, from spawn to verdict. It speaks the control
// protocol and keeps what the worker says as data. On the model line it is the station "pass":
// sealed descriptors leave here, paths never do. Input: messages of a process that may be
// compromised; their size, number in a turn, order and texts are bounded here.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ipc/messages.h"
#include "launch/outbox.h"
#include "launch/process.h"
#include "sandbox/resource_limits.h"
#include "sandbox/spawn.h"
#include "sandbox/verdict.h"
#include "signature/verified_model.h"
#include "wire/channel.h"

namespace mlxguard::launch {

struct WorkerPlan {
  const sandbox::Host* host = nullptr;  ///< what this machine allows
  int program_fd = -1;                  ///< mlxguard-worker, opened; stays the caller's
  sandbox::ResourceLimits limits;
  std::uint32_t threads = 1;
  ProcessOutput::Print print = print_to_standard_error;  ///< takes the lines that it writes
};

enum class Stage : std::uint8_t {
  kStarting,  ///< spawned; has not said that it is locked
  kLoading,   ///< locked; has the sealed descriptors
  kReady,     ///< loaded; answers requests
  kFailed,    ///< refused its model; `failure()` says why
};

/// Not thread-safe. Move-only; destroying it kills and reaps the process.
class WorkerProcess {
 public:
  /// Around a process that runs, and the supervisor's end of its control channel.
  WorkerProcess(std::shared_ptr<const signature::VerifiedModel> model,
                std::unique_ptr<Process> process, UniqueFd control, std::uint32_t threads,
                sandbox::IsolationReport promised);
  /// Spawns. Errors: kSandbox, kWorkerStart.
  [[nodiscard]] static Result<WorkerProcess> start(
      std::shared_ptr<const signature::VerifiedModel> model, const WorkerPlan& plan);

  /// Handles control messages that are waiting, at most limits::kControlMessagesPerTurn, and sends
  /// what waits to be sent, without blocking. A worker that breaks the protocol is an error
  /// (kWorkerProtocol, kWorkerSeals, kSandboxLevel); one that died is not: its pidfd says so.
  [[nodiscard]] Result<void> advance();
  /// Blocks until kReady or kFailed; kDeadline if neither comes in time, kWorkerStart if it died.
  [[nodiscard]] Result<void> wait_until_ready(std::chrono::steady_clock::time_point deadline);

  /// Makes a data channel: the worker serves one end, the other is returned. Its end is sent by
  /// this call or, if the worker does not read, by a later advance().
  [[nodiscard]] Result<UniqueFd> open_data_channel();

  [[nodiscard]] Stage stage() const { return stage_; }
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  [[nodiscard]] const std::string& schema() const { return schema_; }
  [[nodiscard]] const std::string& runtime() const { return runtime_; }
  [[nodiscard]] const std::string& isolation() const { return isolation_; }
  [[nodiscard]] std::chrono::microseconds load_time() const { return load_time_; }
  [[nodiscard]] const sandbox::IsolationReport& spawn_isolation() const {
    return process_->isolation();
  }
  [[nodiscard]] const signature::VerifiedModel& model() const { return *model_; }

  /// To wait on; -1 once the worker has closed its end.
  [[nodiscard]] int control_fd() const { return hung_up_ ? -1 : control_.fd(); }
  [[nodiscard]] bool hung_up() const { return hung_up_; }
  [[nodiscard]] bool wants_to_send() const { return !outbox_.empty(); }
  [[nodiscard]] int exit_fd() const { return process_->exit_fd(); }
  [[nodiscard]] int pid() const { return process_->pid(); }
  [[nodiscard]] ProcessOutput& output() const { return process_->output(); }
  void kill(sandbox::KillReason reason) { process_->kill(reason); }
  /// Waits for the end; cheap once exit_fd() is readable. Reads its output to the end.
  [[nodiscard]] Result<sandbox::ExitVerdict> reap() { return process_->reap(); }

 private:
  [[nodiscard]] Result<void> handle(const wire::Received& received);
  [[nodiscard]] Result<void> handle_locked(const wire::Received& received);
  [[nodiscard]] Result<void> handle_ready(const wire::Received& received);
  [[nodiscard]] Result<void> queue_model();

  std::shared_ptr<const signature::VerifiedModel> model_;
  std::unique_ptr<Process> process_;
  wire::Channel control_;
  Outbox outbox_;
  std::uint32_t threads_;
  sandbox::IsolationReport promised_;  ///< by the probe of this machine
  Stage stage_ = Stage::kStarting;
  bool hung_up_ = false;
  std::optional<Error> failure_;
  std::string schema_, runtime_, isolation_;
  std::chrono::microseconds load_time_{0};
};

/// The environment of a worker: no PATH, TMPDIR or LD_*, one OpenBLAS thread until it is locked.
[[nodiscard]] const std::vector<std::string>& worker_environment();

}  // namespace mlxguard::launch
