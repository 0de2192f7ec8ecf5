// SPDX-License-Identifier: Apache-2.0
#include "inspect/rules.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace mlxguard::inspect {
namespace {

constexpr std::array kRules{
#define MLXGUARD_INSPECT_ROW(enumerator, id, severity, title, meaning, help) \
  RuleRow{Rule::enumerator, id, Severity::severity, title, meaning, help},
    MLXGUARD_INSPECT_RULES(MLXGUARD_INSPECT_ROW)
#undef MLXGUARD_INSPECT_ROW
};

constexpr std::array<std::string_view, 5> kSeverities{"info", "low", "medium", "high", "critical"};

}  // namespace

std::string_view name_of(Severity severity) {
  return kSeverities.at(static_cast<std::size_t>(severity));
}

std::optional<Severity> find_severity(std::string_view name) {
  const auto* found = std::find(kSeverities.begin(), kSeverities.end(), name);
  if (found == kSeverities.end()) return std::nullopt;
  return static_cast<Severity>(found - kSeverities.begin());
}

std::span<const RuleRow> rules() { return kRules; }

const RuleRow& describe(Rule rule) {
  const auto index = static_cast<std::size_t>(rule);
  MLXGUARD_CHECK(index < kRules.size());
  return kRules[index];
}

const RuleRow* find_rule(std::string_view id) {
  const auto* found =
      std::find_if(kRules.begin(), kRules.end(), [&](const RuleRow& row) { return row.id == id; });
  return found == kRules.end() ? nullptr : found;
}

}  // namespace mlxguard::inspect
