// SPDX-License-Identifier: Apache-2.0
#include "mirror/scanner.h"

#include <algorithm>

namespace mlxguard::mirror {

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kClean:
      return "clean";
    case Verdict::kCouldNotTell:
      return "could-not-tell";
    case Verdict::kVulnerable:
      return "vulnerable";
    case Verdict::kQuarantined:
      return "quarantined";
  }
  return {};
}

const std::vector<UnknownRow>& unknown_rows() {
  static const std::vector<UnknownRow> kRows = {
#define MLXGUARD_UNKNOWN_ROW(enumerator, name, meaning) {Unknown::enumerator, name, meaning},
      MLXGUARD_MIRROR_UNKNOWN_TABLE(MLXGUARD_UNKNOWN_ROW)
#undef MLXGUARD_UNKNOWN_ROW
  };
  return kRows;
}

const UnknownRow* find_unknown(std::string_view name) {
  const auto& rows = unknown_rows();
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const UnknownRow& row) { return row.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

Verdict Judgement::verdict() const {
  Verdict worst = Verdict::kClean;
  for (const Finding& finding : findings) worst = std::max(worst, finding.verdict);
  return worst;
}

}  // namespace mlxguard::mirror
