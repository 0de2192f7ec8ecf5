// SPDX-License-Identifier: Apache-2.0
// mlxguard-inspector: reads the files of a model that nobody trusts. It is started with one
// descriptor (the control channel), has no options and reads no environment. Whatever a file does
// to its parsers stays here.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>

#include "inspector_sandbox.h"
#include "ipc/inspect_messages.h"
#include "sandbox/verdict.h"
#include "serve.h"

namespace {

constexpr int kControlFd = 3;

int complain(const mlxguard::Error& error, int status) {
  std::fprintf(stderr, "mlxguard-inspector: error: %s [%s]\n", error.message.c_str(),
               std::string(mlxguard::name_of(error.code)).c_str());
  return status;
}

/// The first process of a namespace is shielded from signals without a handler; a real fault is not
/// (the handler is gone when it runs), so that a crash is seen as one.
extern "C" void end_by_fault(int /*number*/) {
  volatile std::uintptr_t nowhere = 0;
  *reinterpret_cast<volatile int*>(nowhere) = 0;
}

void let_fatal_signals_kill() {
  struct sigaction action {};
  action.sa_handler = end_by_fault;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) {
    ::sigaction(number, &action, nullptr);
  }
}

}  // namespace

int main() {
  using namespace mlxguard;
  let_fatal_signals_kill();
  const auto isolation = inspector::lock_this_inspector({.control_fd = kControlFd});
  if (!isolation) return complain(isolation.error(), sandbox::kStartFailedExitStatus);
  const auto served = inspector::serve(
      wire::Channel(UniqueFd(kControlFd), ipc::kToInspector), *isolation);
  if (!served && served.error().code != ErrorCode::kWorkerUnavailable) {
    return complain(served.error(), 1);
  }
  return 0;
}
