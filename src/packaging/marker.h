// SPDX-License-Identifier: Apache-2.0
// Environment markers (PEP 508): `python_version >= "3.11" and sys_platform == "linux"`.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::packaging {

/// What markers are asked about. Names as in PEP 508; `extra` is empty unless a caller asks for
/// one.
struct MarkerEnvironment {
  std::map<std::string, std::string, std::less<>> values;
  std::set<std::string> extras;             ///< of lock files: `"name" in extras`
  std::set<std::string> dependency_groups;  ///< of lock files
};

/// CPython of `python_full_version` ("3.11.7") on x86-64 Linux.
[[nodiscard]] MarkerEnvironment linux_environment(std::string_view python_full_version);

class Marker {
 public:
  /// Errors: kMarker; kTooLarge for one that is nested or long beyond reason.
  [[nodiscard]] static Result<Marker> parse(std::string_view text);

  /// kMarker for a comparison that has no meaning, such as ~= between texts, or a name that the
  /// environment lacks.
  [[nodiscard]] Result<bool> evaluate(const MarkerEnvironment& environment) const;
  /// True if it holds without an extra or with any of `extras`.
  [[nodiscard]] Result<bool> evaluate(const MarkerEnvironment& environment,
                                      std::span<const std::string> extras) const;
  /// Normalised spelling.
  [[nodiscard]] std::string text() const;

  struct Node;

 private:
  friend class MarkerReader;
  explicit Marker(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;  // immutable: copies share it
};

}  // namespace mlxguard::packaging
