// SPDX-License-Identifier: Apache-2.0
// An inventory as JSON of our own, as CycloneDX 1.6 and as SPDX 2.3. The same inventory and stamp
// give the same bytes.
#pragma once

#include <cstdint>
#include <string>

#include "inventory/component.h"

namespace mlxguard::inventory {

/// What a document says of its making; nothing is asked of the machine.
struct SbomStamp {
  std::string tool_version;
  std::int64_t milliseconds_since_epoch = 0;
  /// A UUID; empty: one made of the content, so that the same components have the same number.
  std::string serial_uuid;
};

[[nodiscard]] std::string to_json(const Inventory& inventory);
[[nodiscard]] std::string to_cyclonedx(const Inventory& inventory, const SbomStamp& stamp);
[[nodiscard]] std::string to_spdx(const Inventory& inventory, const SbomStamp& stamp);

}  // namespace mlxguard::inventory
