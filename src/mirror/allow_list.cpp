// SPDX-License-Identifier: Apache-2.0
#include "mirror/allow_list.h"

namespace mlxguard::mirror {

void AllowList::add(std::string_view project, std::string_view sha256) {
  digests_[normalize_name(project)].emplace(sha256);
}

bool AllowList::allows(std::string_view project, const ProjectFile& file) const {
  const auto found = digests_.find(std::string(project));
  return found != digests_.end() && !file.sha256.empty() && found->second.contains(file.sha256);
}

std::size_t AllowList::files() const {
  std::size_t count = 0;
  for (const auto& [project, digests] : digests_) count += digests.size();
  return count;
}

}  // namespace mlxguard::mirror
