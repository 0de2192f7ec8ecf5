// SPDX-License-Identifier: Apache-2.0
#include "inventory/lock_wanted.h"

#include <map>
#include <string_view>
#include <vector>

#include "inventory/builder.h"

namespace mlxguard::inventory {
namespace {

class Lock {
 public:
  Lock(const Inventory& lock, const LockPlace& place) : place_(place) {
    place_.markers.dependency_groups.insert(lock.terms.default_groups.begin(),
                                            lock.terms.default_groups.end());
    for (const Component& one : lock.components) by_purl_[one.purl] = &one;
  }

  WantedPackages wanted(const std::set<std::string>& installed) const {
    std::set<std::string> required;
    for (const auto& [purl, one] : by_purl_) {
      const bool begins = is_optional(*one) ? installed.contains(one->name) : is_asked_for(*one);
      if (begins && may_be_here(*one)) take(*one, required);
    }
    // A lock that never says why a package is in it wants it: two that only need each other are
    // not left out.
    const std::set<std::string> explained = explained_packages();
    for (const auto& [purl, one] : by_purl_) {
      if (!explained.contains(purl) && may_be_here(*one)) take(*one, required);
    }
    WantedPackages wanted{required, required};
    for (const auto& [purl, one] : by_purl_) {
      if (is_optional(*one) && may_be_here(*one)) take(*one, wanted.possible);
    }
    return wanted;
  }

 private:
  static bool is_optional(const Component& one) { return property_of(one, "optional") == "true"; }

  bool holds(std::string_view text) const {
    if (text.empty()) return true;
    const bool asks_python =
        text.find("python") != text.npos || text.find("implementation") != text.npos;
    if (asks_python && !place_.python_known) return true;
    const auto marker = packaging::Marker::parse(text);
    if (!marker) return true;
    const auto answer = marker->evaluate(place_.markers);
    return !answer || *answer;
  }

  bool may_be_here(const Component& one) const { return holds(property_of(one, "marker")); }

  bool is_asked_for(const Component& one) const {
    if (!one.wanted_by_need) return true;
    return one.direct && holds(property_of(one, "asked_marker"));
  }

  bool need_holds(const Component& from, const std::string& to) const {
    const auto marker = from.need_markers.find(to);
    return marker == from.need_markers.end() || holds(marker->second);
  }

  /// Adds the package, and whatever it needs here.
  void take(const Component& first, std::set<std::string>& taken) const {
    std::vector<const Component*> open;
    if (taken.insert(first.purl).second) open.push_back(&first);
    while (!open.empty()) {
      const Component& one = *open.back();
      open.pop_back();
      for (const std::string& purl : one.needs) {
        const auto needed = by_purl_.find(purl);
        if (needed == by_purl_.end() || !need_holds(one, purl) || !may_be_here(*needed->second)) {
          continue;
        }
        if (taken.insert(purl).second) open.push_back(needed->second);
      }
    }
  }

  /// Packages that needs lead to from what is asked for by anybody, whether they hold here or not.
  std::set<std::string> explained_packages() const {
    std::set<std::string> explained;
    std::vector<const Component*> open;
    for (const auto& [purl, one] : by_purl_) {
      if (one->wanted_by_need && !one->direct && !is_optional(*one)) continue;
      explained.insert(purl);
      open.push_back(one);
    }
    while (!open.empty()) {
      const Component& one = *open.back();
      open.pop_back();
      for (const std::string& purl : one.needs) {
        const auto needed = by_purl_.find(purl);
        if (needed != by_purl_.end() && explained.insert(purl).second) {
          open.push_back(needed->second);
        }
      }
    }
    return explained;
  }

  LockPlace place_;
  std::map<std::string, const Component*> by_purl_;
};

}  // namespace

WantedPackages wanted_packages(const Inventory& lock, const std::set<std::string>& installed,
                               const LockPlace& place) {
  return Lock(lock, place).wanted(installed);
}

}  // namespace mlxguard::inventory
