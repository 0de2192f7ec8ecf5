// SPDX-License-Identifier: Apache-2.0
// mlxguard-worker: runs one model inside a sandbox. It is started by the supervisor with one
// descriptor (the control channel), has no options, and reads no environment: what it may do is
// fixed here.
#include <csignal>
#include <cstdint>
#include <cstdio>

#include "engine/open_gate.h"
#include "engine/runtime.h"
#include "ipc/messages.h"
#include "sandbox/verdict.h"
#include "serve.h"
#include "worker_sandbox.h"

namespace {

constexpr int kControlFd = 3;

int complain(const mlxguard::Error& error, int status) {
  std::fprintf(stderr, "mlxguard-worker: error: %s [%s]\n", error.message.c_str(),
               std::string(mlxguard::name_of(error.code)).c_str());
  return status;
}

/// The worker is the first process of its namespace, and the kernel shields such a process from
/// signals it has no handler for: a SIGSEGV sent to it from outside, or its own abort(), would be
/// ignored. A real fault is not: the handler is gone when it runs (SA_RESETHAND), so touching
/// nothing ends the process.
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
  // Nothing before the lock may start a thread: it would stay outside of the sandbox.
  const auto prepared = engine::prepare_runtime();
  if (!prepared) return complain(prepared.error(), sandbox::kStartFailedExitStatus);
  const auto isolation = worker::lock_this_worker({.control_fd = kControlFd});
  if (!isolation) return complain(isolation.error(), sandbox::kStartFailedExitStatus);
  engine::refuse_other_paths();

  const SystemClock clock;
  const auto served = worker::serve(
      wire::Channel(UniqueFd(kControlFd), ipc::kFromSupervisor), *isolation, clock);
  if (!served && served.error().code != ErrorCode::kWorkerUnavailable) {
    return complain(served.error(), 1);
  }
  return 0;
}
