// SPDX-License-Identifier: Apache-2.0
#include "launch/gateway_process.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/os_error.h"
#include "sandbox/spawn.h"

namespace mlxguard::launch {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

GatewayProcess::GatewayProcess(std::unique_ptr<Process> process, UniqueFd socket,
                               std::unique_ptr<EventRelay> relay, sandbox::IsolationReport promised)
    : process_(std::move(process)),
      control_(std::move(socket), std::move(relay), std::move(promised), process_->isolation()) {}

Result<GatewayProcess> GatewayProcess::start(const GatewayPlan& plan,
                                             const ipc::GatewayConfig& config,
                                             std::span<const int> sockets) {
  MLXGUARD_TRY_ASSIGN(auto ends, wire::Channel::socket_pair());
  sandbox::SpawnPlan spawn_plan;
  spawn_plan.binary_fd = plan.program_fd;
  spawn_plan.name = "mlxguard-gateway";
  spawn_plan.environment = {"LC_ALL=C.UTF-8"};
  spawn_plan.descriptors = {ends.second.get()};
  spawn_plan.limits = plan.limits;
  MLXGUARD_TRY_ASSIGN(auto relay, EventRelay::create(plan.submit));
  MLXGUARD_TRY_ASSIGN(auto process,
                      spawn_process(*plan.host, std::move(spawn_plan), "gateway", plan.print));
  GatewayProcess gateway(std::move(process), std::move(ends.first), std::move(relay),
                         plan.host->report());
  MLXGUARD_TRY_ASSIGN(wire::Packet packet, wire::pack(config, sockets));
  gateway.control_.send(std::move(packet));
  MLXGUARD_TRY(gateway.control_.flush());
  return gateway;
}

Result<void> GatewayProcess::wait_until_ready(steady_clock::time_point deadline) {
  while (!control_.ready()) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) {
      return make_error(ErrorCode::kDeadline, "the gateway did not become ready in time");
    }
    std::array<pollfd, 2> waits{pollfd{control_.fd(), POLLIN, 0},
                                pollfd{process_->exit_fd(), POLLIN, 0}};
    const int ready =
        ::poll(waits.data(), waits.size(), static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (ready < 0 && errno != EINTR) return os_error("poll");
    MLXGUARD_TRY(control_.advance());
    process_->output().read(steady_clock::now());
    if (waits[1].revents != 0 && !control_.ready()) {
      MLXGUARD_TRY_ASSIGN(const sandbox::ExitVerdict verdict, process_->reap());
      return make_error(ErrorCode::kWorkerStart,
                        "the gateway died while it started: " + sandbox::describe(verdict));
    }
  }
  return {};
}

}  // namespace mlxguard::launch
