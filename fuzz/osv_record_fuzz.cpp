// SPDX-License-Identifier: Apache-2.0
// Any bytes as an OSV record: what is read survives being kept in a database, and says the same
// there. A score is one of zero to ten.
#include <cstdint>

#include "advisories/cvss.h"
#include "advisories/match.h"
#include "advisories/osv.h"
#include "advisories/record_json.h"
#include "base/byte_reader.h"
#include "base/check.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto record = advisories::parse_record(as_text(Bytes(data, size)));
  if (!record) return 0;
  for (const advisories::Severity& severity : record->severities) {
    const double score = advisories::cvss_score(severity.text).value_or(0);
    MLXGUARD_CHECK(score >= 0 && score <= 10);
  }
  for (const advisories::Affected& affected : record->affected) {
    if (affected.key.empty()) continue;
    const auto again = advisories::parse_record(advisories::to_json(*record, affected));
    MLXGUARD_CHECK(again.has_value() && again->affected.size() == 1);
    for (const char* version : {"1.0", "2!3.post1", "none"}) {
      const auto said = advisories::match(affected, version);
      MLXGUARD_CHECK(said.standing == advisories::match(again->affected.front(), version).standing);
    }
  }
  return 0;
}
