// SPDX-License-Identifier: Apache-2.0
// AllowList: which files a lock names. A file is allowed if its sha256 is one that the lock has for
// its project. Trusted: the lock's author; an allow-list without digests is refused, since names
// and versions alone say nothing about bytes.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "mirror/project_page.h"

namespace mlxguard::mirror {

class AllowList {
 public:
  /// pylock.toml (PEP 751) or a requirements file with hashes, by the name and the content.
  /// Errors: kDepsFile and those of the reader.
  [[nodiscard]] static Result<AllowList> load(const std::string& file);

  void add(std::string_view project, std::string_view sha256);
  [[nodiscard]] bool knows(std::string_view project) const {
    return digests_.contains(std::string(project));
  }
  [[nodiscard]] bool allows(std::string_view project, const ProjectFile& file) const;
  [[nodiscard]] std::size_t projects() const { return digests_.size(); }
  [[nodiscard]] std::size_t files() const;

 private:
  std::map<std::string, std::set<std::string>> digests_;  ///< by normalised project
};

}  // namespace mlxguard::mirror
