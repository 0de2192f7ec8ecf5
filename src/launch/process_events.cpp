// SPDX-License-Identifier: Apache-2.0
#include "launch/process_events.h"

#include <utility>

namespace mlxguard::launch {
namespace {

using record::Attr;
using std::chrono::milliseconds;

void add_identity(record::Event& event, const ProcessIdentity& process) {
  event.model = process.model;
  event.set(Attr::kProcess, process.role)
      .set(Attr::kPid, process.pid)
      .set(Attr::kGeneration, process.generation);
  if (!process.root_digest.empty()) event.set(Attr::kRootDigest, process.root_digest);
}

}  // namespace

Error verdict_error(const sandbox::ExitVerdict& verdict) {
  return make_error(sandbox::code_of(verdict.reason), sandbox::describe(verdict));
}

sandbox::ExitVerdict judged(Result<sandbox::ExitVerdict> verdict) {
  sandbox::ExitVerdict unknown;
  unknown.reason = sandbox::ExitReason::kKilled;
  return std::move(verdict).value_or(unknown);
}

record::Event died_event(const ProcessIdentity& process, const Death& death) {
  const sandbox::ExitVerdict& verdict = death.verdict;
  record::Event event = record::event_of(
      record::Kind::kWorkerDied, death.breach ? *death.breach : verdict_error(verdict));
  event.outcome = record::Outcome::kFailed;
  add_identity(event, process);
  event.set(Attr::kVerdict, sandbox::name_of(verdict.reason));
  if (verdict.signal) event.set(Attr::kSignal, *verdict.signal);
  event.set(Attr::kCpuMs, verdict.usage.cpu_time.count() / 1000);
  if (verdict.usage.memory_bytes_peak) {
    event.set(Attr::kMemoryBytesPeak, *verdict.usage.memory_bytes_peak);
  }
  if (!death.last_output.empty()) event.set(Attr::kLastOutput, death.last_output);
  event.set(Attr::kRestartInMs, std::chrono::ceil<milliseconds>(death.restart.delay).count())
      .set(Attr::kBreakerOpen, death.restart.breaker_open);
  return event;
}

record::Event started_event(const ProcessIdentity& process, const std::string& isolation) {
  const bool again = process.generation > 1;
  record::Event event{.kind = again ? record::Kind::kWorkerRestarted
                                    : record::Kind::kWorkerStarted};
  event.message = "a locked " + process.role + " is ready";
  add_identity(event, process);
  event.set(Attr::kIsolation, isolation);
  return event;
}

}  // namespace mlxguard::launch
