// SPDX-License-Identifier: Apache-2.0
#include "gateway_main.h"

#include <csignal>
#include <cstdio>

#include "base/clock.h"
#include "codec/json.h"
#include "crypto/random.h"
#include "gateway.h"
#include "gateway_sandbox.h"
#include "ipc/messages.h"
#include "sandbox/verdict.h"
#include "wire/channel.h"

namespace {

using namespace mlxguard;

constexpr int kControlFd = 3;
constexpr int kFailedExitStatus = 3;

int fail(const Error& error) {
  std::fprintf(stderr, "mlxguard-gateway: error: %s [%s]\n", error.message.c_str(),
               std::string(name_of(error.code)).c_str());
  return kFailedExitStatus;
}

}  // namespace

int mlxguard::gateway::gateway_main(std::span<const task::Row> rows) {
  // Ctrl-C reaches the whole process group; the supervisor decides what it means.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  const SystemClock clock;
  crypto::SystemRandom random;
  auto gateway = gateway::Gateway::create(
      wire::Channel(UniqueFd(kControlFd), ipc::kFromSupervisor), rows, clock, random);
  if (!gateway) return fail(gateway.error());
  const auto locked = gateway::lock_this_gateway({.control_fd = kControlFd});
  if (!locked) {
    fail(locked.error());
    return sandbox::kStartFailedExitStatus;
  }
  const auto served = (*gateway)->run(locked->to_json(), locked->bits());
  if (!served) return fail(served.error());
  return 0;
}
