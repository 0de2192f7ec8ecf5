// SPDX-License-Identifier: Apache-2.0
#include "run_attack.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/unique_fd.h"
#include "container.h"
#include "sandbox/spawn.h"

namespace mlxguard::attacks {

using namespace sandbox;

namespace {

constexpr int kPatienceMilliseconds = 20'000;

ResourceLimits attack_limits() {
  ResourceLimits limits;
  limits.memory_bytes_max = 64u << 20;
  limits.cpu_cores_max = 1.0;
  limits.pids_max = 16;
  limits.cpu_seconds_max = 1;
  limits.file_bytes_max = 8u << 20;
  limits.open_files_max = 64;
  return limits;
}

/// What the victim says came of it, or nothing if it died first or does not answer.
std::optional<int> receive_outcome(int control) {
  pollfd ready{control, POLLIN, 0};
  if (::poll(&ready, 1, kPatienceMilliseconds) != 1) return std::nullopt;
  std::int32_t outcome = 0;
  if (::recv(control, &outcome, sizeof(outcome), 0) != sizeof(outcome)) return std::nullopt;
  return outcome;
}

std::string text_of(int outcome) {
  if (outcome == 0) return "succeeded";
  const char* name = ::strerrorname_np(outcome);
  return name != nullptr ? name : "errno " + std::to_string(outcome);
}

}  // namespace

Result<std::optional<Host>> host_at_level(const std::string& level) {
  const auto wanted = find_isolation_level(level);
  if (wanted == IsolationLevel::kNoCgroup) MLXGUARD_TRY(become_ordinary_user());
  if (wanted == IsolationLevel::kContainer) MLXGUARD_TRY(enter_container_like_confinement());
  MLXGUARD_TRY_ASSIGN(Host host, Host::probe());
  if (host.level() == wanted) return std::optional<Host>(std::move(host));
  if (host.level() < wanted) return std::optional<Host>{};
  return make_error(ErrorCode::kSandboxLevel,
                    "expected level " + level + ", found " + std::string(name_of(host.level())));
}

Result<std::string> run_attack(const Host& host, int program, const std::string& attack,
                               long system_call) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return make_error(ErrorCode::kIo, "no socket pair");
  }
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  SpawnPlan plan;
  plan.binary_fd = program;
  plan.name = "victim";
  plan.arguments = {attack, std::to_string(::getpid()), std::to_string(system_call)};
  plan.descriptors = {theirs.get()};
  plan.standard_output = StandardOutput::kPipe;
  plan.limits = attack_limits();
  MLXGUARD_TRY_ASSIGN(Child child, spawn(host, plan));
  theirs.reset();
  if (const auto outcome = receive_outcome(ours.get())) return text_of(*outcome);
  pollfd dead{child.pidfd(), POLLIN, 0};
  if (::poll(&dead, 1, kPatienceMilliseconds) != 1) child.kill(KillReason::kOverdue);
  MLXGUARD_TRY_ASSIGN(const ExitVerdict verdict, child.wait());
  return "verdict " + std::string(name_of(verdict.reason));
}

}  // namespace mlxguard::attacks
