// SPDX-License-Identifier: Apache-2.0
// attack_runner VICTIM ATTACK LEVEL EXPECTED [NEEDS]: spawns the victim as a worker is spawned, on
// this machine as it is ("full"), as an ordinary user ("no-cgroup") or an unprivileged container
// ("container") would see it, and compares what came of the attack with EXPECTED: "succeeded", an
// errno's name, or "verdict REASON".
// NEEDS is what an older kernel lacks: "landlock4", "landlock6" (its version), "mdwe".
// Exit: 0 equal, 1 different, 77 if this machine cannot show it.
#include <fcntl.h>

#include <cstdio>
#include <cstdlib>

#include "run_attack.h"
#include "sandbox/landlock.h"
#include "sandbox/privileges.h"
#include "sandbox/spawn.h"

using namespace mlxguard;

namespace {

bool kernel_has(std::string_view needed) {
  if (needed == "landlock4") return sandbox::landlock_abi() >= 4;
  if (needed == "landlock6") return sandbox::landlock_abi() >= 6;
  return needed == "mdwe" && sandbox::executable_memory_switch_available();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::fprintf(stderr, "usage: attack_runner VICTIM ATTACK LEVEL EXPECTED [NEEDS]\n");
    return 2;
  }
  if (argc == 6 && !kernel_has(argv[5])) {
    std::fprintf(stderr, "skipped: this kernel has no %s\n", argv[5]);
    return attacks::kSkipped;
  }
  const auto program = sandbox::open_program(argv[1]);
  if (!program) {
    std::fprintf(stderr, "%s\n", program.error().message.c_str());
    return 2;
  }
  // What an attack could find if spawn let it through.
  ::setenv("MLXGUARD_ATTACK_SECRET", "found", 1);
  const int leaked = ::open("/etc/passwd", O_RDONLY);
  ::fcntl(leaked, F_DUPFD, 100);

  const auto host = attacks::host_at_level(argv[3]);
  if (!host) {
    std::fprintf(stderr, "%s\n", host.error().message.c_str());
    return 2;
  }
  if (!host->has_value()) {
    std::fprintf(stderr, "skipped: this machine does not allow level %s\n", argv[3]);
    return attacks::kSkipped;
  }
  const auto result = attacks::run_attack(**host, program->get(), argv[2]);
  const std::string found = result ? *result : "error " + result.error().message;
  std::printf("%s at level %s: %s\n", argv[2], argv[3], found.c_str());
  if (found == argv[4]) return 0;
  std::fprintf(stderr, "expected: %s\n", argv[4]);
  return 1;
}
