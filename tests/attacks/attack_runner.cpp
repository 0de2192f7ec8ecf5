// SPDX-License-Identifier: Apache-2.0
// attack_runner VICTIM ATTACK LEVEL EXPECTED: spawns the victim as a worker is spawned, on this machine as
// it is ("full") or as an unprivileged container would see it ("container"), and compares what came of
// the attack with EXPECTED: "succeeded", an errno's name, or "verdict REASON".
// Exit: 0 equal, 1 different, 77 if this machine cannot show the level.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "container.h"
#include "sandbox/spawn.h"

using namespace mlxguard;
using namespace mlxguard::sandbox;

namespace {

constexpr int kSkipped = 77;
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

Result<std::string> run(const Host& host, int program, const std::string& attack) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return make_error(ErrorCode::kIo, "no socket pair");
  }
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  SpawnPlan plan;
  plan.binary_fd = program;
  plan.name = "victim";
  plan.arguments = {attack, std::to_string(::getpid())};
  plan.descriptors = {theirs.get()};
  plan.limits = attack_limits();
  MLXGUARD_TRY_ASSIGN(Child child, spawn(host, plan));
  theirs.reset();
  if (const auto outcome = receive_outcome(ours.get())) return text_of(*outcome);
  pollfd dead{child.pidfd(), POLLIN, 0};
  if (::poll(&dead, 1, kPatienceMilliseconds) != 1) child.kill(KillReason::kOverdue);
  MLXGUARD_TRY_ASSIGN(const ExitVerdict verdict, child.wait());
  return "verdict " + std::string(name_of(verdict.reason));
}

/// Nothing, or why this machine cannot show the level.
std::optional<std::string> prepare(std::string_view level) {
  if (level == "container") {
    const auto confined = attacks::enter_container_like_confinement();
    if (!confined) return confined.error().message;
  }
  return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: attack_runner VICTIM ATTACK full|container EXPECTED\n");
    return 2;
  }
  const std::string level = argv[3];
  auto program = open_program(argv[1]);
  if (!program) {
    std::fprintf(stderr, "%s\n", program.error().message.c_str());
    return 2;
  }
  // What an attack could find if spawn let it through.
  ::setenv("MLXGUARD_ATTACK_SECRET", "found", 1);
  const int leaked = ::open("/etc/passwd", O_RDONLY);
  ::fcntl(leaked, F_DUPFD, 100);

  if (const auto why = prepare(level)) {
    std::fprintf(stderr, "skipped: %s\n", why->c_str());
    return kSkipped;
  }
  const auto host = Host::probe();
  if (!host) {
    std::fprintf(stderr, "%s\n", host.error().message.c_str());
    return 2;
  }
  if (name_of(host->level()) != level) {
    std::fprintf(stderr, "skipped: this is level %s\n", std::string(name_of(host->level())).c_str());
    return level == "container" ? 1 : kSkipped;
  }
  const auto result = run(*host, program->get(), argv[2]);
  const std::string found = result ? *result : "error " + result.error().message;
  std::printf("%s at level %s: %s\n", argv[2], level.c_str(), found.c_str());
  if (found == argv[4]) return 0;
  std::fprintf(stderr, "expected: %s\n", argv[4]);
  return 1;
}
