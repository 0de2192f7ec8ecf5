// SPDX-License-Identifier: Apache-2.0
// Supervisor: owns the verified models, the log, the gateway and the workers; keeps them running.
// It never reads a request or a tensor header: what it passes between gateway and worker stays
// opaque. One thread; everything it waits for is a descriptor.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api_keys.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "config/config.h"
#include "event_relay.h"
#include "launch/worker_process.h"
#include "limits/restart_policy.h"
#include "listener.h"
#include "log/state_log.h"
#include "sandbox/host.h"
#include "sandbox/spawn.h"
#include "signature/verified_model.h"
#include "wire/channel.h"

namespace mlxguard::supervisor {

/// What the supervisor is built from; main.cpp makes it.
struct Parts {
  config::ServeConfig config;
  const sandbox::Host* host = nullptr;
  UniqueFd worker_program, gateway_program;
  log::EventLog* log = nullptr;
  const Clock* clock = nullptr;
  ApiKeys api_keys;
  Listener listener;
  std::string tls_certificate_pem, tls_private_key_pem;
  std::vector<std::shared_ptr<const signature::VerifiedModel>> models;
};

class Supervisor {
 public:
  explicit Supervisor(Parts parts);
  ~Supervisor();

  /// Starts every worker, then the gateway. Errors: the first worker's refusal of its model.
  [[nodiscard]] Result<void> start();
  /// The line printed when ready: JSON with url, models, isolation, pid.
  [[nodiscard]] std::string ready_json() const;
  [[nodiscard]] std::string url() const;
  /// Keeps everything running until SIGINT or SIGTERM, then drains and stops in order.
  [[nodiscard]] Result<void> run(int signal_fd);

 private:
  struct Model;
  struct Gateway;
  using Time = std::chrono::steady_clock::time_point;

  [[nodiscard]] Result<void> start_worker(Model& model);
  [[nodiscard]] Result<void> start_gateway();
  [[nodiscard]] Result<void> announce(Model& model);
  void worker_ready(Model& model);
  void worker_ended(Model& model);
  void gateway_ended();
  void drop_gateway();
  void handle_worker(Model& model);
  void handle_gateway();
  [[nodiscard]] Result<void> handle_gateway_message(const wire::Received& received);
  void send_to_gateway(wire::Packet packet, std::vector<UniqueFd> descriptors = {});
  void flush_gateway();
  void acknowledge_events();
  void do_what_is_due(Time now);
  [[nodiscard]] int milliseconds_until_due(Time now) const;
  void drain(int signal_fd);
  void report(const record::Event& event);
  [[nodiscard]] static record::Event worker_event(const Model& model, record::Event event);

  Parts parts_;
  std::vector<std::unique_ptr<Model>> models_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<limits::RestartPolicy> gateway_restarts_;
  std::optional<Time> gateway_restart_at_;
};

}  // namespace mlxguard::supervisor
