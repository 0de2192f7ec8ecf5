// SPDX-License-Identifier: Apache-2.0
// Which packages of a lock an environment must hold. Every locked package is looked for unless the
// lock itself tells why it may be absent: its marker, an extra or group that nobody asked for, or
// needs that lead to it and do not hold here.
#pragma once

#include <set>
#include <string>

#include "inventory/component.h"
#include "packaging/marker.h"

namespace mlxguard::inventory {

struct LockPlace {
  packaging::MarkerEnvironment markers;
  bool python_known = true;  ///< false: a marker that asks about Python holds
};

struct WantedPackages {
  std::set<std::string> required;  ///< purls
  /// And those that may be there: of extras and groups as well. Contains `required`.
  std::set<std::string> possible;
};

/// `installed` are normalised names: what an extra or group brings in is required once the package
/// that the project asks for in it is installed.
[[nodiscard]] WantedPackages wanted_packages(const Inventory& lock,
                                             const std::set<std::string>& installed,
                                             const LockPlace& place);

}  // namespace mlxguard::inventory
