// SPDX-License-Identifier: Apache-2.0
// A Python environment on disk: where its packages are, which Python it is for, what is in it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inventory/read.h"

namespace mlxguard::inventory {

struct EnvironmentPlace {
  std::filesystem::path prefix;            ///< paths in the inventory are relative to it
  std::vector<std::string> site_packages;  ///< relative to the prefix
  std::string python_version;              ///< "3.11.7" or "3.11"; empty: could not be told
  bool is_virtual = false;  ///< it has a pyvenv.cfg, so that it is one even without any package
  /// What is imported from here as well and is not in it: the packages of the Python that a virtual
  /// environment is made from; those that conda installed.
  std::vector<std::string> elsewhere;
};

/// Nothing, when `path` is no environment: neither a prefix nor a folder of installed packages.
[[nodiscard]] std::optional<EnvironmentPlace> find_environment(const std::filesystem::path& path);

/// "name-1.0.dist-info" and its older form.
[[nodiscard]] bool is_info_folder(std::string_view name);

[[nodiscard]] Result<Inventory> read_environment(const EnvironmentPlace& place,
                                                 const std::string& shown_root,
                                                 const ReadOptions& options);

}  // namespace mlxguard::inventory
