// SPDX-License-Identifier: Apache-2.0
// What the supervisor's source files share: the state of a model and of the gateway, and how a dead
// process is judged and recorded. Private to the supervisor.
#pragma once

#include "ipc/messages.h"
#include "supervisor.h"

namespace mlxguard::supervisor {

struct Supervisor::Model {
  std::shared_ptr<const signature::VerifiedModel> verified;
  std::optional<launch::WorkerProcess> worker;
  limits::RestartPolicy restarts;
  std::uint64_t generation = 0;
  bool announced = false;           ///< the gateway knows this generation
  std::optional<Time> start_until;  ///< when a worker that is not ready is given up
  std::optional<Time> restart_at;
  std::int64_t created_seconds = 0;
};

struct Supervisor::Gateway {
  sandbox::Child child;
  wire::Channel control;
  std::unique_ptr<EventRelay> relay;
  bool ready = false;
  Time start_until;
  struct Waiting {
    wire::Packet packet;
    std::vector<UniqueFd> descriptors;
  };
  std::deque<Waiting> backlog;
};

[[nodiscard]] Error verdict_error(const sandbox::ExitVerdict& verdict, std::string subject);
/// A process that cannot be judged is gone all the same: it is treated as one that was killed.
[[nodiscard]] sandbox::ExitVerdict judged(Result<sandbox::ExitVerdict> verdict);
void add_usage(record::Event& event, const sandbox::ExitVerdict& verdict);

}  // namespace mlxguard::supervisor
