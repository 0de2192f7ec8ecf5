// SPDX-License-Identifier: Apache-2.0
// How a scan is shown: for people, as JSON, and as SARIF 2.1.0. Every text in it came from files
// and databases; none is trusted with the terminal.
#pragma once

#include <string>

#include "advisories/scan.h"
#include "inventory/component.h"
#include "output.h"

namespace mlxguard::cli {

/// What is said beside the report.
struct ScanContext {
  const inventory::Inventory& inventory;
  const advisories::Knowledge& knowledge;
  bool all = false;  ///< clean components too
};

void print_scan(const Output& output, const advisories::Report& report, const ScanContext& context);
[[nodiscard]] std::string scan_json(const advisories::Report& report, const ScanContext& context);
[[nodiscard]] std::string scan_sarif(const advisories::Report& report, const ScanContext& context);

}  // namespace mlxguard::cli
