// SPDX-License-Identifier: Apache-2.0
// What the lock file formats have in common: packages, who needs whom by name, and their way into
// an inventory. Internal to this folder.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inventory/builder.h"
#include "inventory/identity.h"

namespace mlxguard::inventory {

struct LockedNeed {
  std::string name;     ///< normalised
  std::string version;  ///< empty: whichever there is
  std::string marker;   ///< may be empty
};

struct LockedPackage {
  std::string name;     ///< as written
  std::string version;  ///< may be empty where the source decides it
  std::string marker;
  Qualifiers qualifiers;  ///< of the purl, where it comes from no index
  std::vector<std::pair<std::string, std::string>> properties;
  std::vector<std::string> hashes;
  std::vector<LockedNeed> needs;
  bool direct = false;
  bool optional = false;  ///< wanted by an extra or group only
};

class LockedPackages {
 public:
  explicit LockedPackages(std::string where) : where_(std::move(where)) {}
  /// Errors: kDepsFile, for what is no name of a package.
  [[nodiscard]] Result<void> add(LockedPackage package, std::size_t line);
  /// Asked for by the project itself.
  void want(const std::string& name);
  void want_optional(const std::string& name) { optional_.insert(name); }
  Builder& builder() { return builder_; }
  [[nodiscard]] bool is_empty() const { return packages_.empty(); }

  /// What nobody needs is what the project asked for, where the format does not tell.
  enum class Roots { kTold, kGuessed };
  [[nodiscard]] Inventory build(const std::string& shown_root, std::string source, Roots roots) &&;

 private:
  struct Held {
    LockedPackage package;
    std::string purl;
  };
  std::string where_;
  Builder builder_;
  std::vector<Held> packages_;
  std::map<std::string, std::vector<std::size_t>> by_name_;
  std::set<std::string> wanted_, optional_;
};

}  // namespace mlxguard::inventory
