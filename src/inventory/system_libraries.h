// SPDX-License-Identifier: Apache-2.0
// The libraries of this machine that an environment's binaries need, with the distribution package
// that each belongs to where its database (dpkg) says. For environments that run here, and for
// mlxguard itself.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "inventory/native_parts.h"

namespace mlxguard::inventory {

class HostLibraries final : public SystemLibraries {
 public:
  /// `root` is "/" but for tests.
  explicit HostLibraries(std::filesystem::path root = "/");
  ~HostLibraries() override;

  /// Follows what the library itself needs as well.
  [[nodiscard]] std::string add(Builder& builder, const NativeFile::Needed& needed,
                                const NativeSummary& by) override;

  struct Package {
    std::string name, version, purl;
  };
  /// The installed distribution package of this name, such as "libssl-dev".
  [[nodiscard]] std::optional<Package> package(const std::string& name);

 private:
  struct Database;
  std::filesystem::path root_;
  std::unique_ptr<Database> database_;
  std::map<std::string, std::string> purls_;  // by architecture and file name
  UnknownSystem unknown_;
};

}  // namespace mlxguard::inventory
