// SPDX-License-Identifier: Apache-2.0
// What the supervisor's source files share. Private to launch/supervisor*.cpp.
#pragma once

#include <poll.h>

#include "launch/supervisor.h"

namespace mlxguard::launch {

struct Supervisor::Model {
  std::shared_ptr<const signature::VerifiedModel> verified;
  std::optional<WorkerProcess> worker;
  limits::RestartPolicy restarts;
  std::uint64_t generation = 0;
  std::int64_t created_seconds = 0;
  std::optional<Error> breach;      ///< for which the worker was killed
  /// When a worker is given up that is not ready, or that lives on without its control channel.
  std::optional<Time> give_up_at;
  std::optional<Time> restart_at;

  [[nodiscard]] ProcessIdentity identity() const {
    return {"worker", verified->name(), verified->root_digest(), worker->pid(), generation};
  }
};

struct Supervisor::Gateway {
  GatewayProcess process;
  /// When it is given up, while it is not ready or lives on without its control channel.
  Time give_up_at;
  std::optional<Error> breach{};  ///< for which it was killed
  bool given_up = false;

  /// Whether something has to come before `give_up_at`.
  [[nodiscard]] bool awaited() const {
    return !given_up && (!process.control().ready() || process.control().hung_up());
  }
};

/// The descriptors of one turn, and which of them are ready.
struct Supervisor::Waits {
  std::vector<pollfd> fds;
  void add(int fd, int events) { fds.push_back({fd, static_cast<short>(events), 0}); }
  [[nodiscard]] bool ready(int fd) const {
    for (const pollfd& each : fds) {
      if (each.fd == fd && each.revents != 0) return true;
    }
    return false;
  }
};

}  // namespace mlxguard::launch
