// SPDX-License-Identifier: Apache-2.0
#include "serve.h"

#include "inspect/inspector.h"
#include "ipc/inspect_messages.h"

namespace mlxguard::inspector {
namespace {

ipc::FileInspected to_wire(std::uint64_t id, const inspect::FileReport& report) {
  ipc::FileInspected answer;
  answer.id = id;
  answer.format = report.format;
  answer.gap = report.gap;
  for (const inspect::Finding& finding : report.findings) {
    ipc::WireFinding wire;
    wire.rule = static_cast<std::uint8_t>(finding.rule);
    wire.severity = static_cast<std::uint8_t>(finding.severity);
    wire.inside = finding.inside;
    wire.has_offset = finding.offset.has_value();
    wire.offset = finding.offset.value_or(0);
    wire.has_line = finding.line.has_value();
    wire.line = finding.line.value_or(0);
    wire.reason = finding.reason;
    wire.evidence = finding.evidence;
    answer.findings.push_back(std::move(wire));
  }
  return answer;
}

}  // namespace

Result<void> serve(wire::Channel control, const sandbox::IsolationReport& isolation) {
  ipc::InspectorLocked locked;
  locked.mechanisms = isolation.bits();
  MLXGUARD_TRY(control.send(locked));
  inspect::LocalInspector inspector;
  for (;;) {
    MLXGUARD_TRY_ASSIGN(const wire::Received received, control.receive());
    MLXGUARD_TRY_ASSIGN(const auto request, received.as<ipc::InspectFile>());
    if (received.descriptors.size() != 1) {
      return make_error(ErrorCode::kWorkerProtocol, "expected one descriptor with a file");
    }
    inspect::FileContext context;
    context.name = request.name;
    context.siblings = request.siblings;
    MLXGUARD_TRY_ASSIGN(
        const inspect::FileReport report,
        inspector.inspect(received.descriptors[0].get(), request.size_bytes, context));
    MLXGUARD_TRY(control.send(to_wire(request.id, report)));
  }
}

}  // namespace mlxguard::inspector
