// SPDX-License-Identifier: Apache-2.0
// Any bytes as an OpenVEX document and as a catalog of exploited vulnerabilities.
#include <cstdint>

#include "advisories/vex.h"
#include "base/byte_reader.h"
#include "base/check.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(Bytes(data, size));
  static_cast<void>(advisories::parse_kev(text));
  const auto statements = advisories::parse_vex(text);
  if (!statements) return 0;
  for (const auto& one : *statements) {
    // Nothing suppresses without its justification.
    MLXGUARD_CHECK(one.status != "not_affected" || !one.justification.empty());
    const auto* found =
        advisories::find_suppression(*statements, one.vulnerabilities, one.products.front(), {});
    MLXGUARD_CHECK(found == nullptr || found->status == "not_affected" || found->status == "fixed");
  }
  return 0;
}
