// SPDX-License-Identifier: Apache-2.0
// Writes SARIF 2.1.0, in the subset that code-scanning sites show: places relative to the base
// "SRCROOT", fingerprints that stay the same across runs, and rules with help and a severity.
#pragma once

#include <string>

#include "report/finding.h"

namespace mlxguard::report {

/// Rules are written once and sorted by id; a finding of a rule that is not among them gets one
/// with its id alone.
[[nodiscard]] std::string to_sarif(const Report& report);

}  // namespace mlxguard::report
