// SPDX-License-Identifier: Apache-2.0
// How a library declares what an operator can set. A struct lists its settings once, in `visit`:
// the key in mlxguard.toml, what it means, its bounds. Whatever reads the configuration file,
// prints the example, or sends the settings to another process is a visitor of that list, so a key
// cannot be forgotten on the way.
//
//   struct Limits {
//     static constexpr std::string_view kTable = "limits";
//     std::int64_t queue_max = 256;
//     template <class Visitor>
//     void visit(Visitor& visitor) {
//       visitor.integer({"queue_max", "requests of one model that wait"}, queue_max, {0, 100'000});
//     }
//   };
#pragma once

#include <cstdint>
#include <string_view>

namespace mlxguard {

struct SettingKey {
  std::string_view name;        ///< in its table of mlxguard.toml
  std::string_view meaning;     ///< a phrase for the example file
  std::string_view example{};   ///< a value in TOML for a setting that is absent by default
};

/// Inclusive.
struct SettingBounds {
  std::int64_t min;
  std::int64_t max;
};

inline constexpr SettingBounds kDurationMsBounds{10, 86'400'000};

}  // namespace mlxguard
