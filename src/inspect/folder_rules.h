// SPDX-License-Identifier: Apache-2.0
// Rules about what a folder holds rather than what is in its files: links, devices, modes, names,
// depth.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "inspect/finding.h"
#include "inspect/walk.h"

namespace mlxguard::inspect {

class FolderRules {
 public:
  /// `listing` must outlive this.
  explicit FolderRules(const Folder::Listing& listing);

  void judge(const Entry& entry, Findings& findings) const;
  void judge_whole(Findings& findings) const;

 private:
  const Folder::Listing& listing_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> names_inside_;
};

}  // namespace mlxguard::inspect
