// SPDX-License-Identifier: Apache-2.0
#include "sandbox/cgroup.h"

namespace mlxguard::sandbox {

std::unique_ptr<CgroupLimits> open_cgroup_limits(std::string& why_none) {
  std::string why_not_v2;
  if (auto limits = open_cgroup_v2(why_not_v2)) return limits;
  std::string why_not_v1;
  auto limits = open_cgroup_v1(why_not_v1);
  // v1 limits without all three would be taken for the full level by nobody, but still help.
  if (!limits) why_none = why_not_v2 + "; " + why_not_v1;
  return limits;
}

}  // namespace mlxguard::sandbox
