// SPDX-License-Identifier: Apache-2.0
// Any bytes as opcodes of a pickle: reading them ends within its bounds, places are inside of the
// file, and bytes that say they are a pickle are never passed over in silence.
#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "base/limits.h"
#include "inspect/pickle_scan.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes file(data, size);
  inspect::FileReport report;
  inspect::Findings findings(report);
  inspect::scan_pickle(file, 0, findings);
  MLXGUARD_CHECK(report.findings.size() <= limits::kInspectFileFindingsMax);
  for (const inspect::Finding& finding : report.findings) {
    MLXGUARD_CHECK(!finding.offset || *finding.offset <= size);
    MLXGUARD_CHECK(!finding.reason.empty());
  }
  const bool told = std::any_of(
      report.findings.begin(), report.findings.end(),
      [](const inspect::Finding& finding) { return finding.rule == inspect::Rule::kPickleFile; });
  MLXGUARD_CHECK(told || !report.gap.empty() || size == 0);
  static_cast<void>(inspect::is_pickle(file));
  return 0;
}
