// SPDX-License-Identifier: Apache-2.0
// The baseline: findings and unknowns that an operator accepts for one version of one package, each
// with a reason, an author and a day on which the acceptance ends. Input: a file that the operator
// names; the verdict never becomes "clean" by it, but "accepted".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace mlxguard::advisories {

struct Report;

struct BaselineEntry {
  std::string package{};  ///< package URL with its version; empty: of the scan as a whole
  std::string id{};       ///< of an advisory (any of its ids); empty for an unknown
  std::string unknown{};  ///< name of the reason why it could not be told; empty for a finding
  std::string where{};    ///< of an unknown of the scan as a whole: its text
  std::string reason{}, author{};
  std::string expires{};     ///< as written: the last day that it holds
  std::int64_t ends_ms = 0;  ///< end of that day, UTC
};

struct Baseline {
  std::vector<BaselineEntry> entries;
};

/// Errors: kDepsFile for a file that is none, such as entries without a package, reason,
/// author or expiry.
[[nodiscard]] Result<Baseline> parse_baseline(std::string_view json);
[[nodiscard]] std::string write_baseline(const Baseline& baseline);

struct BaselineTerms {
  std::string reason, author, expires;
};
/// All that the report has left open, but what is wrong with the database itself. Errors: kUsage
/// for an expiry that is no date or is past.
[[nodiscard]] Result<Baseline> baseline_of(const Report& report, const BaselineTerms& terms,
                                           WallTime now);

/// What a baseline did for a report.
struct BaselineUse {
  std::size_t used = 0;
  std::vector<const BaselineEntry*> expired, unused;
};
/// Marks what unexpired entries accept and concludes the report's verdicts anew. The baseline must
/// outlive the report.
[[nodiscard]] BaselineUse apply_baseline(const Baseline& baseline, Report& report, WallTime now);

}  // namespace mlxguard::advisories
