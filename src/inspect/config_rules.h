// SPDX-License-Identifier: Apache-2.0
// What one key of a configuration means to a loader. Both readers of configurations (JSON, YAML)
// come here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "inspect/config_scan.h"

namespace mlxguard::inspect {

enum class ValueKind : std::uint8_t { kText, kTrue, kOther, kContainer };

struct ConfigValue {
  std::string_view key;     ///< innermost key that this value belongs to
  std::string_view parent;  ///< the key around that, or empty
  std::size_t depth = 0;    ///< of the key: 1 in the outermost object
  ValueKind kind = ValueKind::kOther;
  std::string_view text;    ///< kText: the value, escapes resolved
  std::string_view source;  ///< as it stands in the file, cut, for evidence
  Place place;
};

void judge_config_value(const ConfigValue& value, const FileContext& context, Findings& findings);

}  // namespace mlxguard::inspect
