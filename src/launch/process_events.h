// SPDX-License-Identifier: Apache-2.0
// Events about processes: started, restarted, died. Each names the process that it is about (its
// id, its role, the model and generation it served), never the one that writes it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "launch/process_output.h"
#include "launch/worker_process.h"
#include "limits/restart_policy.h"
#include "record/event.h"
#include "sandbox/verdict.h"

namespace mlxguard::launch {

/// Which process an event is about.
struct ProcessIdentity {
  std::string role;                ///< "worker" or "gateway"
  std::string model, root_digest;  ///< that a worker serves; empty for the gateway
  int pid = 0;
  std::uint64_t generation = 0;  ///< 1 for the first of its kind, then 2, ...
};

/// "killed at its memory limit (SIGKILL)", with the code of the reason.
[[nodiscard]] Error verdict_error(const sandbox::ExitVerdict& verdict);
/// A process that cannot be judged is gone all the same: it is treated as one that was killed.
[[nodiscard]] sandbox::ExitVerdict judged(Result<sandbox::ExitVerdict> verdict);

struct Death {
  sandbox::ExitVerdict verdict;
  std::optional<Error> breach;  ///< of the protocol, for which it was killed
  std::string last_output;
  limits::RestartDecision restart;
};
/// worker.died. Its code and message are the breach's where there was one, else the verdict's.
[[nodiscard]] record::Event died_event(const ProcessIdentity& process, const Death& death);
/// worker.started, or worker.restarted for a later generation.
[[nodiscard]] record::Event started_event(const ProcessIdentity& process,
                                          const std::string& isolation);

}  // namespace mlxguard::launch
