// SPDX-License-Identifier: Apache-2.0
#include "launch/inspector_process.h"

#include <poll.h>

#include <array>

#include "base/limits.h"
#include "ipc/inspect_messages.h"
#include "launch/worker_process.h"

namespace mlxguard::launch {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kStartTime{20'000};
constexpr int kDyingTimeMs = 2000;
constexpr std::uint64_t kCpuSecondsMax = 3600;

/// Checked and escaped again: the process that sends it has read hostile bytes.
Result<inspect::FileReport> from_wire(const ipc::FileInspected& answer) {
  inspect::FileReport report;
  report.format = inspect::evidence_of(answer.format);
  report.gap = inspect::evidence_of(answer.gap);
  if (answer.findings.size() > limits::kInspectFileFindingsMax) {
    return make_error(ErrorCode::kWorkerProtocol, "more findings than one file may have");
  }
  for (const ipc::WireFinding& wire : answer.findings) {
    const bool known = wire.rule < static_cast<std::uint8_t>(inspect::Rule::kCount) &&
                       wire.severity <= static_cast<std::uint8_t>(inspect::Severity::kLast);
    if (!known) return make_error(ErrorCode::kWorkerProtocol, "a finding of no known rule");
    inspect::Finding finding;
    finding.rule = static_cast<inspect::Rule>(wire.rule);
    finding.severity = static_cast<inspect::Severity>(wire.severity);
    finding.inside = inspect::evidence_of(wire.inside);
    if (wire.has_offset) finding.offset = wire.offset;
    if (wire.has_line) finding.line = wire.line;
    finding.reason = inspect::evidence_of(wire.reason);
    finding.evidence = inspect::evidence_of(wire.evidence);
    report.findings.push_back(std::move(finding));
  }
  return report;
}

}  // namespace

Result<void> InspectorProcess::ensure_running() {
  if (child_) return {};
  MLXGUARD_TRY(sandbox::require(plan_.host->report(), sandbox::IsolationLevel::kContainer));
  MLXGUARD_TRY_ASSIGN(auto ends, wire::Channel::socket_pair());
  sandbox::SpawnPlan spawn_plan;
  spawn_plan.binary_fd = plan_.program_fd;
  spawn_plan.name = "mlxguard-inspector";
  spawn_plan.environment = worker_environment();
  spawn_plan.descriptors = {ends.second.get()};
  spawn_plan.standard_output = sandbox::StandardOutput::kPipe;
  spawn_plan.limits.memory_bytes_max = plan_.memory_bytes_max;
  spawn_plan.limits.pids_max = 1;
  spawn_plan.limits.cpu_seconds_max = kCpuSecondsMax;
  spawn_plan.limits.file_bytes_max = limits::kIpcPayloadBytesMax;
  spawn_plan.cgroup_join = sandbox::CgroupJoin::kWhileLinking;
  MLXGUARD_TRY_ASSIGN(sandbox::Child child, sandbox::spawn(*plan_.host, spawn_plan));
  ends.second.reset();
  output_ = ProcessOutput(child.take_output(), "inspector", plan_.print);
  wire::Channel channel(std::move(ends.first), ipc::kFromInspector);
  auto received = channel.receive(steady_clock::now() + kStartTime);
  if (!received) {
    child.kill(sandbox::KillReason::kOverdue);
    MLXGUARD_TRY_ASSIGN(const sandbox::ExitVerdict verdict, child.wait());
    output_.finish();
    return make_error(ErrorCode::kWorkerStart,
                      "the inspector did not start: " + sandbox::describe(verdict));
  }
  MLXGUARD_TRY_ASSIGN(const auto locked, received->as<ipc::InspectorLocked>());
  // What the probe promised must have been done: a layer that was lost is a refusal.
  sandbox::IsolationReport achieved = sandbox::IsolationReport::from_bits(locked.mechanisms);
  achieved.merge(child.isolation());
  MLXGUARD_TRY(sandbox::confirm(plan_.host->report(), achieved));
  child_.emplace(std::move(child));
  control_ = std::move(channel);
  return {};
}

Result<inspect::FileReport> InspectorProcess::ask(int fd, std::uint64_t size_bytes,
                                                  const inspect::FileContext& context) {
  ipc::InspectFile request;
  request.id = next_id_++;
  request.name = context.name;
  request.size_bytes = size_bytes;
  request.siblings = context.siblings;
  const std::array<int, 1> descriptors{fd};
  MLXGUARD_TRY(control_.send(request, descriptors));
  const auto share = milliseconds(size_bytes / (plan_.bytes_per_second_min / 1000 + 1));
  MLXGUARD_TRY_ASSIGN(const wire::Received received,
                      control_.receive(steady_clock::now() + plan_.file_time_max + share));
  MLXGUARD_TRY_ASSIGN(const auto answer, received.as<ipc::FileInspected>());
  if (answer.id != request.id) {
    return make_error(ErrorCode::kWorkerProtocol, "the inspector answered about another file");
  }
  return from_wire(answer);
}

Result<inspect::FileReport> InspectorProcess::inspect(int fd, std::uint64_t size_bytes,
                                                      const inspect::FileContext& context) {
  if (crashes_ >= limits::kInspectCrashesMax) {
    inspect::FileReport report;
    report.gap = "not looked at: too many files ended the inspector";
    return report;
  }
  MLXGUARD_TRY(ensure_running());
  auto answer = ask(fd, size_bytes, context);
  output_.read(steady_clock::now());
  if (answer) return answer;
  ++crashes_;
  if (answer.error().code == ErrorCode::kWorkerUnavailable) {
    // It is dying by itself: its verdict should say of what. One that only hung up is killed after
    // all.
    pollfd dead{child_->pidfd(), POLLIN, 0};
    static_cast<void>(::poll(&dead, 1, kDyingTimeMs));
    if (dead.revents == 0) child_->kill(sandbox::KillReason::kOverdue);
  } else {
    child_->kill(sandbox::KillReason::kOverdue);
  }
  MLXGUARD_TRY_ASSIGN(const sandbox::ExitVerdict verdict, child_->wait());
  output_.finish();
  child_.reset();
  control_.close();
  inspect::FileReport report;
  // A process that spoke out of turn was killed by us: its own words say more than its verdict.
  report.gap = answer.error().code == ErrorCode::kWorkerProtocol
                   ? "the inspector broke its protocol: " + answer.error().message
                   : "the inspector did not survive this file: " + sandbox::describe(verdict);
  return report;
}

}  // namespace mlxguard::launch
