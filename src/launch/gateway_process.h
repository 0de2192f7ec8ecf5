// SPDX-License-Identifier: Apache-2.0
// GatewayProcess: the gateway from spawn to verdict: its process and its control channel.
#pragma once

#include <chrono>
#include <memory>
#include <span>

#include "base/result.h"
#include "launch/gateway_control.h"
#include "launch/process.h"
#include "sandbox/host.h"
#include "sandbox/resource_limits.h"
#include "wire/channel.h"

namespace mlxguard::launch {

struct GatewayPlan {
  const sandbox::Host* host = nullptr;  ///< what this machine allows
  int program_fd = -1;                  ///< mlxguard-gateway, opened; stays the caller's
  sandbox::ResourceLimits limits;
  EventRelay::Submit submit;                             ///< takes its events
  ProcessOutput::Print print = print_to_standard_error;  ///< takes the lines that it writes
};

/// Not thread-safe. Move-only; destroying it kills and reaps the process.
class GatewayProcess {
 public:
  /// Around a process that runs, and the supervisor's end of its control channel.
  GatewayProcess(std::unique_ptr<Process> process, UniqueFd socket,
                 std::unique_ptr<EventRelay> relay, sandbox::IsolationReport promised);
  /// Spawns, and sends the configuration with the listening sockets. Errors: kSandbox,
  /// kWorkerStart, kWorkerUnavailable, kIo.
  [[nodiscard]] static Result<GatewayProcess> start(const GatewayPlan& plan,
                                                    const ipc::GatewayConfig& config,
                                                    std::span<const int> sockets);

  /// Blocks until the gateway is ready. Errors: as GatewayControl::advance(); kDeadline;
  /// kWorkerStart if it died.
  [[nodiscard]] Result<void> wait_until_ready(std::chrono::steady_clock::time_point deadline);

  [[nodiscard]] Process& process() { return *process_; }
  [[nodiscard]] const Process& process() const { return *process_; }
  [[nodiscard]] GatewayControl& control() { return control_; }
  [[nodiscard]] const GatewayControl& control() const { return control_; }

 private:
  std::unique_ptr<Process> process_;
  GatewayControl control_;
};

}  // namespace mlxguard::launch
