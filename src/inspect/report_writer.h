// SPDX-License-Identifier: Apache-2.0
// A Report for machines: our own JSON, and SARIF 2.1.0 for viewers and code hosts.
#pragma once

#include <string>
#include <string_view>

#include "codec/json.h"
#include "inspect/finding.h"

namespace mlxguard::inspect {

/// "clean", "findings" (worse than info), or "incomplete".
[[nodiscard]] std::string_view status_of(const Report& report);

/// One object, without a line end.
[[nodiscard]] std::string to_json(const Report& report);

/// A SARIF log of one run. What could not be inspected is a result and a notification, and the run
/// is then marked as not successful.
[[nodiscard]] std::string to_sarif(const Report& report, std::string_view tool_version);

}  // namespace mlxguard::inspect
