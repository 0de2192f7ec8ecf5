// SPDX-License-Identifier: Apache-2.0
#include "inventory/locked_package.h"

#include <algorithm>

#include "inventory/lock_files.h"
#include "inventory/requirement_graph.h"
#include "packaging/name.h"
#include "packaging/version.h"

namespace mlxguard::inventory {
namespace {

constexpr std::size_t kSha256HexBytes = 64, kSha384HexBytes = 96, kSha512HexBytes = 128;
const std::pair<std::string, std::string> kOptional{"optional", "true"};

}  // namespace

std::string hash_of(std::string_view algorithm, std::string_view hex) {
  const std::size_t wanted = algorithm == "sha256"   ? kSha256HexBytes
                             : algorithm == "sha384" ? kSha384HexBytes
                             : algorithm == "sha512" ? kSha512HexBytes
                                                     : 0;
  if (wanted == 0 || hex.size() != wanted) return {};
  if (hex.find_first_not_of("0123456789abcdef") != std::string_view::npos) return {};
  return std::string(algorithm) + ":" + std::string(hex);
}

std::string without_credentials(std::string url) {
  for (std::size_t from = 0;;) {
    const auto scheme = url.find("://", from);
    if (scheme == std::string::npos) return url;
    from = scheme + 3;
    const auto end = std::min(url.find_first_of("/?#", from), url.size());
    const auto at = url.rfind('@', end);
    if (at != std::string::npos && at >= from) url.erase(from, at - from + 1);
  }
}

std::string any_of_markers(const std::set<std::string>& markers) {
  if (markers.contains("")) return {};
  if (markers.size() == 1) return *markers.begin();
  std::string any;
  for (const std::string& one : markers) any += (any.empty() ? "(" : " or (") + one + ")";
  return any;
}

Result<void> LockedPackages::add(LockedPackage package, std::size_t line) {
  if (!packaging::is_name(package.name)) {
    return make_error(ErrorCode::kDepsFile,
                      "line " + std::to_string(line) + ": expected the name of a package");
  }
  const std::string name = packaging::normalize_name(package.name);
  std::string purl = pypi_purl(name, package.version, package.qualifiers);
  if (!package.version.empty() && !packaging::Version::parse(package.version)) {
    builder_.observe(Observation::Kind::kUnreadable, purl, where_,
                     make_error(ErrorCode::kVersionInvalid,
                                "the version of " + name + " is none that PEP 440 allows"));
  }
  if (package.line == 0) package.line = line;
  by_name_[name].push_back(packages_.size());
  packages_.push_back({std::move(package), std::move(purl)});
  return {};
}

LockedPackages::Asked LockedPackages::asked_for(const std::vector<LockedNeed>& asks,
                                                const LockedPackage& package) {
  Asked asked;
  std::set<std::string> markers;
  for (const LockedNeed& ask : asks) {
    if (ask.name != packaging::normalize_name(package.name)) continue;
    if (!ask.version.empty() && !same_version(ask.version, package.version)) continue;
    asked.any = true;
    markers.insert(ask.marker);
  }
  asked.marker = any_of_markers(markers);
  return asked;
}

/// The purls that another package needs.
std::set<std::string> LockedPackages::add_needs() {
  std::set<std::string> needed;
  std::map<std::pair<std::string, std::string>, std::set<std::string>> markers;
  for (const Held& held : packages_) {
    for (const LockedNeed& need : held.package.needs) {
      const auto found = by_name_.find(need.name);
      if (found == by_name_.end()) continue;
      for (const std::size_t index : found->second) {
        const Held& target = packages_[index];
        if (!need.version.empty() && !same_version(need.version, target.package.version)) continue;
        builder_.needs(held.purl, target.purl);
        markers[{held.purl, target.purl}].insert(need.marker);
        if (target.purl != held.purl) needed.insert(target.purl);
      }
    }
  }
  for (const auto& [edge, all] : markers) {
    std::string marker = any_of_markers(all);
    if (!marker.empty()) {
      builder_.component(edge.first).need_markers[edge.second] = std::move(marker);
    }
  }
  return needed;
}

void LockedPackages::add_component(LockedPackage& package, const std::string& purl, Roots roots,
                                   bool needed) {
  Component& component = builder_.component(purl);
  const bool is_new = component.name.empty();
  component.kind = Component::Kind::kPackage;
  component.name = packaging::normalize_name(package.name);
  component.version = package.version;
  const Asked asked = asked_for(asked_, package);
  const bool optionally = package.optional || asked_for(asked_optionally_, package).any;
  component.direct = component.direct || package.direct || asked.any ||
                     (roots == Roots::kGuessed && !needed);
  component.wanted_by_need = roots == Roots::kByNeeds;
  component.hashes.insert(component.hashes.end(), package.hashes.begin(), package.hashes.end());
  auto& properties = component.properties;
  properties.insert(properties.end(), package.properties.begin(), package.properties.end());
  // What is asked for without an extra or group as well is no option.
  const auto option = std::find(properties.begin(), properties.end(), kOptional);
  if (optionally && !asked.any) {
    if (is_new) properties.push_back(kOptional);
  } else if (option != properties.end()) {
    properties.erase(option);
  }
  if (!asked.marker.empty()) properties.emplace_back("asked_marker", asked.marker);
  // One package for several Pythons or platforms: wanted when any of its entries is.
  const auto marker = std::find_if(properties.begin(), properties.end(),
                                   [](const auto& one) { return one.first == "marker"; });
  if (is_new && !package.marker.empty()) properties.emplace_back("marker", package.marker);
  if (!is_new && marker != properties.end()) {
    if (package.marker.empty())
      properties.erase(marker);
    else if (marker->second != package.marker) {
      marker->second = "(" + marker->second + ") or (" + package.marker + ")";
    }
  }
  if (is_new) component.line = package.line;
  builder_.evidence(purl, Evidence::Kind::kLockFile, package.file.empty() ? where_ : package.file,
                    package.version.empty() ? "asked for" : "locked");
}

Inventory LockedPackages::build(const std::string& shown_root, std::string source, Roots roots) && {
  const std::set<std::string> needed = add_needs();
  for (Held& held : packages_) {
    add_component(held.package, held.purl, roots, needed.contains(held.purl));
  }
  return std::move(builder_).build(shown_root, std::move(source));
}

}  // namespace mlxguard::inventory
