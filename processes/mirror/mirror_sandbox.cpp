// SPDX-License-Identifier: Apache-2.0
#include "mirror_sandbox.h"

#include "codec/json.h"
#include "sandbox/privileges.h"

namespace mlxguard::mirror {

Result<sandbox::IsolationReport> lock_this_mirror(const MirrorSandboxOptions&) {
  sandbox::IsolationReport report;
  MLXGUARD_TRY(sandbox::set_no_new_privileges(report));
  MLXGUARD_TRY(sandbox::refuse_dumps_and_tracers(report));
  return report;
}

std::string to_json(const sandbox::IsolationReport& report) {
  codec::JsonWriter writer;
  writer.begin_object();
  for (const sandbox::MechanismReport& row : report.mechanisms()) {
    const bool active = row.state == sandbox::MechanismState::kActive;
    writer.field(sandbox::name_of(row.mechanism), active ? "active" : "unavailable");
  }
  writer.end_object();
  return std::move(writer).take();
}

}  // namespace mlxguard::mirror
