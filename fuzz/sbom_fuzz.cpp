// SPDX-License-Identifier: Apache-2.0
// Any bytes as a CycloneDX document: what is read is written again as one that reads the same.
#include <cstdint>
#include <set>

#include "base/byte_reader.h"
#include "base/check.h"
#include "inventory/sbom.h"
#include "inventory/sbom_write.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto sbom = inventory::read_sbom(as_text(Bytes(data, size)));
  if (!sbom) return 0;
  MLXGUARD_CHECK(sbom->refs.size() == sbom->components.size());
  inventory::Inventory inventory;
  std::set<std::string> purls;
  for (const inventory::Component& one : sbom->components) {
    if (purls.insert(one.purl).second) inventory.components.push_back(one);
  }
  const inventory::SbomStamp stamp{"1", 0, ""};
  const auto again = inventory::read_sbom(inventory::to_cyclonedx(inventory, stamp));
  MLXGUARD_CHECK(again.has_value());
  static_cast<void>(inventory::to_spdx(inventory, stamp));
  static_cast<void>(inventory::to_json(inventory));
  return 0;
}
