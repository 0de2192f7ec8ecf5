// SPDX-License-Identifier: Apache-2.0
// Any bytes as each of the lock files in TOML: readers end, names are normalised, needs are there,
// and what the writer makes of a resolver's answer reads back.
#include <cstdint>
#include <set>

#include "base/check.h"
#include "inventory/lock_files.h"
#include "inventory/lock_write.h"
#include "packaging/name.h"

using namespace mlxguard;

namespace {

void check(const Result<inventory::Inventory>& found) {
  if (!found) return;
  std::set<std::string> purls;
  for (const inventory::Component& component : found->components) purls.insert(component.purl);
  for (const inventory::Component& component : found->components) {
    MLXGUARD_CHECK(packaging::normalize_name(component.name) == component.name);
    for (const std::string& purl : component.needs) MLXGUARD_CHECK(purls.contains(purl));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(Bytes(data, size));
  check(inventory::read_pylock(text, "x"));
  check(inventory::read_uv_lock(text, "x"));
  check(inventory::read_poetry_lock(text, "x"));
  check(inventory::read_pyproject(text, "x"));
  for (const auto& entries :
       {inventory::read_resolved_pylock(text), inventory::read_pip_report(text)}) {
    if (!entries) continue;
    const auto lock = inventory::read_pylock(inventory::to_pylock(*entries, {}), "x");
    MLXGUARD_CHECK(lock && lock->components.size() == entries->size());
    check(lock);
  }
  return 0;
}
