// SPDX-License-Identifier: Apache-2.0
// victim ATTACK RUNNER_PID [NUMBER]: locks itself as its build says, runs one attack and sends its
// outcome over descriptor 3. Spawned by attack_runner.
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "attack.h"
#include "sandbox/verdict.h"
#include "victim.h"

using namespace mlxguard;
using namespace mlxguard::attacks;

namespace {

const Attack* find(std::string_view name) {
  for (const auto& table :
       {file_attacks(), standard_stream_attacks(), network_attacks(), process_attacks(),
        memory_attacks(), kernel_attacks(), limit_attacks()}) {
    for (const Attack& attack : table) {
      if (attack.name == name) return &attack;
    }
  }
  return nullptr;
}

void send_outcome(std::int32_t outcome) {
  iovec bytes{&outcome, sizeof(outcome)};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  ::sendmsg(3, &message, MSG_NOSIGNAL);
}

}  // namespace

int main(int argc, char** argv) {
  const Attack* attack = argc >= 3 ? find(argv[1]) : nullptr;
  if (attack == nullptr) {
    std::fprintf(stderr, "victim: no such attack\n");
    return 2;
  }
  const Context context{std::atoi(argv[2]), argc > 3 ? std::atol(argv[3]) : 0};
  if (attack->before_lock != nullptr) attack->before_lock();
  if (const auto locked = lock_victim(); !locked) {
    std::fprintf(stderr, "victim: %s\n", locked.error().message.c_str());
    return sandbox::kStartFailedExitStatus;
  }
  send_outcome(attack->run(context));
  return 0;
}
