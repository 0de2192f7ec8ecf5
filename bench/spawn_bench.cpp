// SPDX-License-Identifier: Apache-2.0
// spawn_bench [ROUNDS]: time from asking for a worker to its first message, in turns:
//   fork_exec    posix_spawn of a program that links libmlx, with no isolation at all (the peer)
//   spawn        sandbox::spawn of the same: namespaces, cgroup, rlimits
//   spawn_lock   the same, and the worker's lock inside
//   worker       the real mlxguard-worker beside this program, up to "I am locked", if it is built
// One JSON line each, and one with the ratio that design.md sets a bar for.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/spawn.h"

using namespace mlxguard;

namespace {

using Clock = std::chrono::steady_clock;

struct Sockets {
  UniqueFd ours;
  UniqueFd theirs;
};

Sockets make_sockets() {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// Milliseconds since `start`, once something has come; negative if the process died instead.
double milliseconds_until_message(int socket, Clock::time_point start) {
  pollfd ready{socket, POLLIN, 0};
  if (::poll(&ready, 1, 10'000) != 1 || (ready.revents & POLLIN) == 0) return -1;
  char byte[256];
  if (::recv(socket, byte, sizeof(byte), 0) <= 0) return -1;
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double time_fork_exec(const std::string& program) {
  Sockets sockets = make_sockets();
  const auto start = Clock::now();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, sockets.theirs.get(), 3);
  std::string name = "probe";
  std::string environment = "OPENBLAS_NUM_THREADS=1";
  char* arguments[] = {name.data(), nullptr};
  char* variables[] = {environment.data(), nullptr};
  pid_t pid = -1;
  if (::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments, variables) != 0) return -1;
  ::posix_spawn_file_actions_destroy(&actions);
  sockets.theirs.reset();
  const double elapsed = milliseconds_until_message(sockets.ours.get(), start);
  ::waitpid(pid, nullptr, 0);
  return elapsed;
}

double time_spawn(const sandbox::Host& host, const std::string& program) {
  Sockets sockets = make_sockets();
  const auto start = Clock::now();
  const auto binary = sandbox::open_program(program);
  if (!binary) return -1;
  sandbox::SpawnPlan plan;
  plan.binary_fd = binary->get();
  plan.name = "probe";
  plan.environment = {"OPENBLAS_NUM_THREADS=1"};
  plan.descriptors = {sockets.theirs.get()};
  plan.limits.memory_bytes_max = 512u << 20;
  plan.limits.cpu_cores_max = 2;
  plan.limits.pids_max = 32;
  plan.cgroup_join = sandbox::CgroupJoin::kWhileLinking;
  auto child = sandbox::spawn(host, plan);
  if (!child) return -1;
  sockets.theirs.reset();
  return milliseconds_until_message(sockets.ours.get(), start);
}

struct Series {
  const char* name;
  std::vector<double> milliseconds;
  [[nodiscard]] double quantile(double share) const {
    const auto last = static_cast<double>(milliseconds.size() - 1);
    return milliseconds.at(static_cast<std::size_t>(share * last));
  }
};

void print(Series& series, std::string_view level) {
  std::ranges::sort(series.milliseconds);
  std::printf(
      "{\"bench\":\"worker_spawn\",\"variant\":\"%s\",\"level\":\"%s\",\"unit\":\"ms\","
      "\"n\":%zu,\"min\":%.3f,\"p50\":%.3f,\"p95\":%.3f}\n",
      series.name, std::string(level).c_str(), series.milliseconds.size(), series.quantile(0),
      series.quantile(0.5), series.quantile(0.95));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 40;
  const std::string self = argv[0];
  const std::string folder = self.substr(0, self.rfind('/') + 1);
  const std::string worker = folder + "mlxguard-worker";
  const bool has_worker = ::access(worker.c_str(), X_OK) == 0;
  const auto host = sandbox::Host::probe();
  if (!host) return 1;

  Series fork_exec{"fork_exec", {}};
  Series spawn{"spawn", {}};
  Series spawn_lock{"spawn_lock", {}};
  Series real{"worker", {}};
  for (int round = -2; round < rounds; ++round) {  // two to warm the page cache
    const double times[] = {time_fork_exec(folder + "spawn_probe"),
                            time_spawn(*host, folder + "spawn_probe"),
                            time_spawn(*host, folder + "spawn_probe_locked"),
                            has_worker ? time_spawn(*host, worker) : 0};
    if (std::ranges::min(times) < 0) {
      std::fprintf(stderr, "spawn_bench: a program did not get ready\n");
      return 1;
    }
    if (round < 0) continue;
    fork_exec.milliseconds.push_back(times[0]);
    spawn.milliseconds.push_back(times[1]);
    spawn_lock.milliseconds.push_back(times[2]);
    if (has_worker) real.milliseconds.push_back(times[3]);
  }
  const std::string_view level = name_of(host->level());
  for (Series* series : {&fork_exec, &spawn, &spawn_lock}) print(*series, level);
  if (has_worker) print(real, level);
  std::printf(
      "{\"bench\":\"worker_spawn\",\"variant\":\"locked_over_unlocked\",\"level\":\"%s\","
      "\"unit\":\"ratio\",\"min\":%.3f,\"p50\":%.3f,\"bar\":1.2}\n",
      std::string(level).c_str(), spawn_lock.quantile(0) / fork_exec.quantile(0),
      spawn_lock.quantile(0.5) / fork_exec.quantile(0.5));
  return 0;
}
