// SPDX-License-Identifier: Apache-2.0
// Builder: collects components from many readers, merges what has one identity, and hands out a
// sorted Inventory, so that the same input gives the same bytes.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "inventory/component.h"

namespace mlxguard::inventory {

class Builder {
 public:
  /// The component of this purl, made if it is new. Valid until build().
  [[nodiscard]] Component& component(const std::string& purl);
  [[nodiscard]] bool has(const std::string& purl) const { return components_.contains(purl); }
  void evidence(const std::string& purl, Evidence::Kind kind, std::string where, std::string what);
  void needs(const std::string& from, const std::string& to);
  void property(const std::string& purl, std::string name, std::string value);
  void observe(Observation::Kind kind, std::string component, std::string where, Error error);

  [[nodiscard]] Inventory build(std::string root, std::string source) &&;

 private:
  std::map<std::string, Component> components_;
  std::map<std::string, std::set<std::string>> needs_;
  std::vector<Observation> observations_;
};

/// The first property of this name, or empty.
[[nodiscard]] std::string_view property_of(const Component& component, std::string_view name);

[[nodiscard]] std::string_view name_of(Evidence::Kind kind);
[[nodiscard]] std::string_view name_of(Observation::Kind kind);
[[nodiscard]] std::string_view name_of(Component::Kind kind);
[[nodiscard]] std::string_view name_of(Confidence confidence);

}  // namespace mlxguard::inventory
