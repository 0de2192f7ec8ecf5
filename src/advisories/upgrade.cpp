// SPDX-License-Identifier: Apache-2.0
#include "advisories/upgrade.h"

#include <algorithm>
#include <optional>

#include "inventory/identity.h"
#include "packaging/version.h"

namespace mlxguard::advisories {
namespace {

using inventory::Component;
using packaging::Version;

constexpr int kRoundsMax = 8;  // a fix may bring another finding

/// The smallest of the versions that end this finding and are newer than `from`.
std::optional<std::string> smallest_fix(const Finding& finding, const Version& from) {
  std::optional<Version> best;
  std::string text;
  for (const std::string& one : finding.fixed_in) {
    const auto version = Version::parse(one);
    if (!version || *version <= from || (best && *best <= *version)) continue;
    best = *version;
    text = one;
  }
  if (!best) return std::nullopt;
  return text;
}

}  // namespace

Result<Upgrade> high_enough(const ComponentReport& report, const Knowledge& knowledge) {
  Upgrade upgrade{report.component->name, report.component->version, "", "", {}, {}};
  std::vector<Finding> findings = report.findings;
  for (const Finding& finding : findings) {
    if (!finding.suppressed) upgrade.cleared.push_back(finding.id);
  }
  Component candidate = *report.component;
  for (int round = 0; round < kRoundsMax; ++round) {
    const auto from = Version::parse(candidate.version);
    if (!from) break;
    std::optional<Version> highest;
    for (const Finding& finding : findings) {
      if (finding.suppressed) continue;
      const auto fix = smallest_fix(finding, *from);
      if (!fix) {
        upgrade.left.push_back(finding.id);
        std::erase(upgrade.cleared, finding.id);
        continue;
      }
      const auto version = Version::parse(*fix);
      if (version && (!highest || *highest < *version)) highest = *version;
    }
    if (!highest) break;
    candidate.version = highest->text();
    candidate.purl = inventory::pypi_purl(candidate.name, candidate.version);
    upgrade.at_least = candidate.version;
    MLXGUARD_TRY_ASSIGN(const ComponentReport again, judge(candidate, knowledge, {}));
    findings = again.findings;
    // Those that no version ends have been told.
    std::erase_if(findings, [&](const Finding& one) {
      return std::find(upgrade.left.begin(), upgrade.left.end(), one.id) != upgrade.left.end();
    });
    if (findings.empty()) break;
  }
  return upgrade;
}

Result<bool> is_clear(const std::string& name, const std::string& version,
                      const Knowledge& knowledge) {
  Component component;
  component.name = name;
  component.version = version;
  component.purl = inventory::pypi_purl(name, version);
  MLXGUARD_TRY_ASSIGN(const ComponentReport report, judge(component, knowledge, {}));
  return std::all_of(report.findings.begin(), report.findings.end(),
                     [](const Finding& finding) { return finding.suppressed.has_value(); });
}

}  // namespace mlxguard::advisories
