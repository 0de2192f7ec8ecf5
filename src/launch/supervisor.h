// SPDX-License-Identifier: Apache-2.0
// Supervisor: keeps one worker for each model and one gateway running, tells the gateway of the
// workers, and records what happens to them. It never reads a request or a tensor header: what it
// passes between gateway and worker stays opaque. One thread; everything it waits for is a
// descriptor. A process that breaks its protocol is killed, recorded and replaced.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "launch/gateway_process.h"
#include "launch/process_events.h"
#include "launch/worker_process.h"
#include "limits/restart_policy.h"
#include "record/event.h"

namespace mlxguard::launch {

/// What the supervisor is built from. Everything that is borrowed outlives it.
struct SupervisorParts {
  std::vector<std::shared_ptr<const signature::VerifiedModel>> models;
  std::function<Result<WorkerProcess>(const std::shared_ptr<const signature::VerifiedModel>&)>
      start_worker;
  std::function<Result<GatewayProcess>()> start_gateway;
  /// Takes the supervisor's own events; each is durable before it goes on.
  record::Sink* log = nullptr;
  const Clock* clock = nullptr;
  ProcessOutput::Print print = print_to_standard_error;  ///< for what cannot be logged
  std::chrono::milliseconds worker_start_time_max{60'000};
  std::chrono::milliseconds gateway_start_time_max{10'000};
  std::chrono::milliseconds drain_time_max{5000};
  /// From a closed control channel to the end of its process.
  std::chrono::milliseconds dying_time_max{2000};
  limits::RestartOptions restarts;
};

/// Not thread-safe.
class Supervisor {
 public:
  explicit Supervisor(SupervisorParts parts);
  ~Supervisor();

  /// Starts every worker, then the gateway, and waits until all are ready. Errors: the first
  /// worker's refusal of its model; the gateway's.
  [[nodiscard]] Result<void> start();
  /// Keeps everything running until `signal_fd` (of SIGINT and SIGTERM) is readable, then drains
  /// and stops in order. A second signal cuts the draining short. Errors: kIo.
  [[nodiscard]] Result<void> run(int signal_fd);

  enum class Turn : std::uint8_t { kDone, kSignalled };
  /// One turn of run(): waits for something to do, at most `wait_max`, and does it.
  [[nodiscard]] Result<Turn> turn(int signal_fd, std::chrono::milliseconds wait_max);

  struct ModelState {
    std::string name, root_digest, signer, runtime;
    int pid = 0;  ///< 0 while no worker runs
  };
  [[nodiscard]] std::vector<ModelState> models() const;
  /// 0 while no gateway runs.
  [[nodiscard]] int gateway_pid() const;

 private:
  struct Model;
  struct Gateway;
  struct Waits;
  using Time = std::chrono::steady_clock::time_point;

  [[nodiscard]] Result<void> start_worker(Model& model);
  void worker_ready(Model& model);
  void handle_worker(Model& model);
  void worker_ended(Model& model);
  void break_worker(Model& model, Error breach);
  [[nodiscard]] Result<void> announce(Model& model);

  [[nodiscard]] Result<void> start_gateway();
  void announce_all();
  void handle_gateway();
  /// What the gateway said before it died.
  void hear_last_words();
  void gateway_ended();
  void break_gateway(Error breach);
  void flush_gateway();

  [[nodiscard]] Waits waits(int signal_fd);
  void handle_ready(const Waits& waits);
  void do_what_is_due();
  [[nodiscard]] std::chrono::milliseconds until_due(std::chrono::milliseconds wait_max) const;
  void drain(int signal_fd);
  void report(const record::Event& event);
  [[nodiscard]] Time now() const { return parts_.clock->steady(); }

  SupervisorParts parts_;
  std::vector<std::unique_ptr<Model>> models_;
  std::unique_ptr<Gateway> gateway_;
  limits::RestartPolicy gateway_restarts_;
  std::uint64_t gateway_generation_ = 0;
  std::optional<Time> gateway_restart_at_;
};

}  // namespace mlxguard::launch
