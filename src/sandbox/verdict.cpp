// SPDX-License-Identifier: Apache-2.0
#include "sandbox/verdict.h"

#include <array>
#include <csignal>
#include <cstring>

namespace mlxguard::sandbox {
namespace {

struct ReasonRow {
  std::string_view name;
  ErrorCode code;
  std::string_view meaning;
};
constexpr std::array kReasons{
#define MLXGUARD_EXIT_REASON_ROW(enumerator, name, code, meaning) \
  ReasonRow{name, ErrorCode::code, meaning},
    MLXGUARD_EXIT_REASON_TABLE(MLXGUARD_EXIT_REASON_ROW)
#undef MLXGUARD_EXIT_REASON_ROW
};

const ReasonRow& row_of(ExitReason reason) { return kReasons.at(static_cast<std::size_t>(reason)); }

bool reached_cpu_limit(const ExitFacts& facts) {
  return facts.cpu_seconds_max &&
         facts.usage.cpu_time >= std::chrono::seconds(*facts.cpu_seconds_max);
}

ExitReason reason_of_kill(const ExitFacts& facts) {
  // The order decides ties: what the kernel counted is a fact, that our own kill won the race is
  // not.
  if (facts.usage.oom_kills.value_or(0) > 0) return ExitReason::kMemory;
  if (reached_cpu_limit(facts)) return ExitReason::kCpuTime;
  if (facts.killed_by_parent == KillReason::kOverdue) return ExitReason::kWallTime;
  return ExitReason::kKilled;
}

ExitReason reason_of_signal(const ExitFacts& facts) {
  switch (facts.status) {
    case SIGSYS:
      return ExitReason::kPolicySyscall;
    case SIGXCPU:
      return ExitReason::kCpuTime;
    case SIGKILL:
      return reason_of_kill(facts);
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGABRT:
    case SIGTRAP:
    case SIGXFSZ:
      return ExitReason::kCrashSignal;
    default:
      return ExitReason::kKilled;
  }
}

}  // namespace

std::string_view name_of(ExitReason reason) { return row_of(reason).name; }
ErrorCode code_of(ExitReason reason) { return row_of(reason).code; }

ExitVerdict judge(const ExitFacts& facts) {
  ExitVerdict verdict;
  verdict.usage = facts.usage;
  if (facts.signalled) {
    verdict.signal = facts.status;
    verdict.reason = reason_of_signal(facts);
    return verdict;
  }
  verdict.exit_status = facts.status;
  verdict.reason =
      facts.status == kStartFailedExitStatus ? ExitReason::kStartFailed : ExitReason::kExited;
  return verdict;
}

std::string describe(const ExitVerdict& verdict) {
  std::string text(row_of(verdict.reason).meaning);
  if (verdict.signal) {
    const char* abbreviation = ::sigabbrev_np(*verdict.signal);
    text.append(" (SIG").append(abbreviation != nullptr ? abbreviation : "?").append(")");
  } else {
    text.append(" (status ").append(std::to_string(verdict.exit_status)).append(")");
  }
  return text;
}

}  // namespace mlxguard::sandbox
