// SPDX-License-Identifier: Apache-2.0
#include "inventory/builder.h"

#include <algorithm>
#include <tuple>

namespace mlxguard::inventory {
namespace {

template <class T>
void sort_unique(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

auto key_of(const Evidence& evidence) {
  return std::tie(evidence.kind, evidence.where, evidence.what);
}

}  // namespace

Component& Builder::component(const std::string& purl) {
  Component& component = components_[purl];
  component.purl = purl;
  return component;
}

void Builder::evidence(const std::string& purl, Evidence::Kind kind, std::string where,
                       std::string what) {
  component(purl).evidence.push_back({kind, std::move(where), std::move(what)});
}

void Builder::needs(const std::string& from, const std::string& to) {
  if (from != to) needs_[from].insert(to);
}

void Builder::property(const std::string& purl, std::string name, std::string value) {
  component(purl).properties.emplace_back(std::move(name), std::move(value));
}

void Builder::observe(Observation::Kind kind, std::string component, std::string where,
                      Error error) {
  observations_.push_back({kind, std::move(component), std::move(where), std::move(error)});
}

Inventory Builder::build(std::string root, std::string source) && {
  Inventory inventory;
  inventory.root = std::move(root);
  inventory.source = std::move(source);
  for (auto& [purl, component] : components_) {
    if (const auto needed = needs_.find(purl); needed != needs_.end()) {
      for (const std::string& to : needed->second) {
        if (components_.contains(to)) component.needs.push_back(to);
      }
    }
    sort_unique(component.hashes);
    sort_unique(component.properties);
    std::sort(component.evidence.begin(), component.evidence.end(),
              [](const Evidence& a, const Evidence& b) { return key_of(a) < key_of(b); });
    component.evidence.erase(
        std::unique(component.evidence.begin(), component.evidence.end(),
                    [](const Evidence& a, const Evidence& b) { return key_of(a) == key_of(b); }),
        component.evidence.end());
  }
  for (auto& [purl, component] : components_) inventory.components.push_back(std::move(component));
  std::stable_sort(observations_.begin(), observations_.end(),
                   [](const Observation& a, const Observation& b) {
                     return std::tie(a.where, a.kind, a.component, a.error.message) <
                            std::tie(b.where, b.kind, b.component, b.error.message);
                   });
  inventory.observations = std::move(observations_);
  return inventory;
}

std::string_view property_of(const Component& component, std::string_view name) {
  for (const auto& [key, value] : component.properties) {
    if (key == name) return value;
  }
  return {};
}

std::string_view name_of(Evidence::Kind kind) {
  constexpr std::string_view kNames[] = {"metadata", "lock-file", "sbom",    "needed",
                                         "file",     "symbols",   "strings", "knowledge"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(Observation::Kind kind) {
  constexpr std::string_view kNames[] = {"record-mismatch", "record-missing", "unrecorded",
                                         "path-code",       "install-hook",   "duplicate",
                                         "unreadable",      "missing",        "incomplete"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(Component::Kind kind) {
  constexpr std::string_view kNames[] = {"application", "package", "native", "model"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(Confidence confidence) {
  constexpr std::string_view kNames[] = {"low", "medium", "high"};
  return kNames[static_cast<std::size_t>(confidence)];
}

}  // namespace mlxguard::inventory
