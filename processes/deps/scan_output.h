// SPDX-License-Identifier: Apache-2.0
// How a scan is shown: for people, as JSON, and as SARIF 2.1.0. Every text in it came from files
// and databases; none is trusted with the terminal.
#pragma once

#include <string>

#include "advisories/baseline.h"
#include "advisories/scan.h"
#include "inventory/component.h"
#include "output.h"

namespace mlxguard::cli {

/// What is said beside the report.
struct ScanContext {
  const inventory::Inventory& inventory;
  const advisories::Knowledge& knowledge;
  bool all;  ///< clean components too
  const advisories::BaselineUse& baseline;
  bool has_baseline = false;
};

void print_scan(const Output& output, const advisories::Report& report, const ScanContext& context);
[[nodiscard]] std::string scan_json(const advisories::Report& report, const ScanContext& context);
/// `target` is what was scanned, as the user named it.
[[nodiscard]] std::string scan_sarif(const advisories::Report& report, const ScanContext& context,
                                     const std::string& target);
/// "accepted: REASON, says AUTHOR, until DATE".
[[nodiscard]] std::string words_of(const advisories::Acceptance& accepted);

}  // namespace mlxguard::cli
