// SPDX-License-Identifier: Apache-2.0
// The supervisor's parts as `mlxguard serve` wires them: the real programs, sandbox and log.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api_keys.h"
#include "base/unique_fd.h"
#include "config/config.h"
#include "launch/supervisor.h"
#include "http/listener.h"
#include "log/event_log.h"
#include "sandbox/host.h"
#include "signature/verified_model.h"

namespace mlxguard::supervisor {

/// Everything that the parts borrow; main.cpp makes it.
struct Wiring {
  config::ServeConfig config;
  const sandbox::Host* host = nullptr;
  UniqueFd worker_program, gateway_program;
  log::EventLog* log = nullptr;
  const Clock* clock = nullptr;
  ApiKeys api_keys;
  http::Listener listener;
  std::string tls_certificate_pem, tls_private_key_pem;
  std::vector<std::shared_ptr<const signature::VerifiedModel>> models;
};

/// `wiring` outlives the supervisor that is made of the parts.
[[nodiscard]] launch::SupervisorParts supervisor_parts(const Wiring& wiring);

[[nodiscard]] std::string url_of(const Wiring& wiring);
/// The line printed when ready: JSON with url, models, isolation, pid.
[[nodiscard]] std::string ready_json(const Wiring& wiring, const launch::Supervisor& supervisor);

}  // namespace mlxguard::supervisor
