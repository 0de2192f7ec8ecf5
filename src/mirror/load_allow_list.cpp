// SPDX-License-Identifier: Apache-2.0
// The lock files that `deps` reads, as an allow-list.
#include "inventory/read.h"
#include "mirror/allow_list.h"
#include "mirror/page_entries.h"

namespace mlxguard::mirror {

Result<AllowList> AllowList::load(const std::string& file) {
  MLXGUARD_TRY_ASSIGN(const inventory::Inventory lock, inventory::read_inventory(file));
  AllowList list;
  constexpr std::string_view kSha256 = "sha256:";
  for (const inventory::Component& component : lock.components) {
    if (component.kind != inventory::Component::Kind::kPackage) continue;
    std::size_t digests = 0;
    for (const std::string& hash : component.hashes) {
      if (!hash.starts_with(kSha256) || !is_sha256(hash.substr(kSha256.size()))) continue;
      list.add(component.name, hash.substr(kSha256.size()));
      ++digests;
    }
    if (digests == 0) {
      return make_error(ErrorCode::kDepsFile, "expected a sha256 for each package of an allow-list")
          .about(component.name)
          .hinting("mlxguard deps lock writes lock files with hashes");
    }
  }
  if (list.projects() == 0) {
    return make_error(ErrorCode::kDepsFile, "an allow-list that allows nothing").about(file);
  }
  return list;
}

}  // namespace mlxguard::mirror
