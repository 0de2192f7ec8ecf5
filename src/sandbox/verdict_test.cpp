// SPDX-License-Identifier: Apache-2.0
#include "sandbox/verdict.h"

#include <doctest/doctest.h>

#include <csignal>

using namespace mlxguard;
using namespace mlxguard::sandbox;
using namespace std::chrono_literals;

namespace {

ExitFacts killed_by(int signal) {
  ExitFacts facts;
  facts.signalled = true;
  facts.status = signal;
  return facts;
}

ExitFacts exited_with(int status) {
  ExitFacts facts;
  facts.status = status;
  return facts;
}

}  // namespace

TEST_CASE("verdict: each signal has its reason") {
  CHECK(judge(killed_by(SIGSYS)).reason == ExitReason::kPolicySyscall);
  CHECK(judge(killed_by(SIGXCPU)).reason == ExitReason::kCpuTime);
  CHECK(judge(killed_by(SIGTERM)).reason == ExitReason::kKilled);
  CHECK(judge(killed_by(SIGKILL)).reason == ExitReason::kKilled);
  for (const int crash : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGXFSZ}) {
    CHECK(judge(killed_by(crash)).reason == ExitReason::kCrashSignal);
  }
}

TEST_CASE("verdict: SIGKILL is memory only if the kernel counted an oom kill") {
  ExitFacts facts = killed_by(SIGKILL);
  facts.usage.oom_kills = 0;
  CHECK(judge(facts).reason == ExitReason::kKilled);
  facts.usage.oom_kills = 1;
  CHECK(judge(facts).reason == ExitReason::kMemory);
}

TEST_CASE("verdict: an oom kill that raced with our own is still memory") {
  ExitFacts facts = killed_by(SIGKILL);
  facts.usage.oom_kills = 1;
  facts.killed_by_parent = KillReason::kOverdue;
  CHECK(judge(facts).reason == ExitReason::kMemory);
}

TEST_CASE("verdict: our own kill says why") {
  ExitFacts facts = killed_by(SIGKILL);
  facts.killed_by_parent = KillReason::kOverdue;
  CHECK(judge(facts).reason == ExitReason::kWallTime);
  facts.killed_by_parent = KillReason::kShutdown;
  CHECK(judge(facts).reason == ExitReason::kKilled);
}

TEST_CASE("verdict: our kill does not explain another signal") {
  ExitFacts facts = killed_by(SIGSYS);
  facts.killed_by_parent = KillReason::kShutdown;
  CHECK(judge(facts).reason == ExitReason::kPolicySyscall);
}

TEST_CASE("verdict: SIGKILL at the processor-time limit is that limit") {
  ExitFacts facts = killed_by(SIGKILL);
  facts.cpu_seconds_max = 2;
  facts.usage.cpu_time = 1999ms;
  CHECK(judge(facts).reason == ExitReason::kKilled);
  facts.usage.cpu_time = 2s;
  CHECK(judge(facts).reason == ExitReason::kCpuTime);
  facts.killed_by_parent = KillReason::kOverdue;  // too late to be the cause
  CHECK(judge(facts).reason == ExitReason::kCpuTime);
}

TEST_CASE("verdict: an exit is an exit, but for the status of a failed start") {
  CHECK(judge(exited_with(0)).reason == ExitReason::kExited);
  CHECK(judge(exited_with(9)).reason == ExitReason::kExited);
  CHECK(judge(exited_with(9)).exit_status == 9);
  CHECK_FALSE(judge(exited_with(9)).signal.has_value());
  CHECK(judge(exited_with(kStartFailedExitStatus)).reason == ExitReason::kStartFailed);
}

TEST_CASE("verdict: each reason has its error code") {
  CHECK(code_of(ExitReason::kExited) == ErrorCode::kWorkerExited);
  CHECK(code_of(ExitReason::kPolicySyscall) == ErrorCode::kWorkerSyscall);
  CHECK(code_of(ExitReason::kMemory) == ErrorCode::kWorkerMemory);
  CHECK(code_of(ExitReason::kCpuTime) == ErrorCode::kWorkerCpu);
  CHECK(code_of(ExitReason::kWallTime) == ErrorCode::kWorkerOverdue);
  CHECK(code_of(ExitReason::kCrashSignal) == ErrorCode::kWorkerCrash);
  CHECK(code_of(ExitReason::kKilled) == ErrorCode::kWorkerKilled);
  CHECK(code_of(ExitReason::kStartFailed) == ErrorCode::kWorkerStart);
}

TEST_CASE("verdict: people read a sentence") {
  CHECK(describe(judge(killed_by(SIGSYS))) == "killed for a system call it may not make (SIGSYS)");
  CHECK(describe(judge(exited_with(3))) == "ended by itself (status 3)");
}
