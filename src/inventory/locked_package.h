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
  std::string file;      ///< that names it; empty: the lock itself
  std::size_t line = 0;  ///< in that file
  bool direct = false;
  bool optional = false;  ///< asked for by an extra or group only
};

/// One marker that holds where any of these does: empty (everywhere) when one of them is empty.
[[nodiscard]] std::string any_of_markers(const std::set<std::string>& markers);

class LockedPackages {
 public:
  explicit LockedPackages(std::string where) : where_(std::move(where)) {}
  /// Errors: kDepsFile, for what is no name of a package.
  [[nodiscard]] Result<void> add(LockedPackage package, std::size_t line);
  /// The project itself asks for this package.
  void want(LockedNeed need) { asked_.push_back(std::move(need)); }
  /// An extra or group of the project asks for it.
  void want_optional(LockedNeed need) { asked_optionally_.push_back(std::move(need)); }
  Builder& builder() { return builder_; }
  [[nodiscard]] bool is_empty() const { return packages_.empty(); }

  enum class Roots {
    kTold,     ///< packages say themselves whether the project asked for them
    kGuessed,  ///< nobody says: what no other package needs is what the project asked for
    kByNeeds,  ///< want() and want_optional() say, and needs decide which others are wanted
  };
  [[nodiscard]] Inventory build(const std::string& shown_root, std::string source, Roots roots) &&;

 private:
  struct Held {
    LockedPackage package;
    std::string purl;
  };
  /// Whether one of these asks names the package; their markers, where all of them have one.
  struct Asked {
    bool any = false;
    std::string marker;
  };
  static Asked asked_for(const std::vector<LockedNeed>& asks, const LockedPackage& package);
  std::set<std::string> add_needs();
  void add_component(LockedPackage& package, const std::string& purl, Roots roots, bool needed);

  std::string where_;
  Builder builder_;
  std::vector<Held> packages_;
  std::map<std::string, std::vector<std::size_t>> by_name_;
  std::vector<LockedNeed> asked_, asked_optionally_;
};

}  // namespace mlxguard::inventory
