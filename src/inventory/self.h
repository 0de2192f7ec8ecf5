// SPDX-License-Identifier: Apache-2.0
// mlxguard's own inventory: the libraries that its binaries are linked with, as this machine has
// them, and what its build pinned (crates, header libraries, the mlx that it was built against).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "inventory/component.h"

namespace mlxguard::inventory {

/// Texts of the pin files at the time of the build; build_pins.cpp is made of them.
struct BuildPins {
  std::string_view cargo_lock;
  std::string_view debian;
  std::string_view python_lock;
};
[[nodiscard]] const BuildPins& build_pins();

/// `folder` holds the binaries, named mlxguard or mlxguard-*. Errors: kDepsEnvironment (none is
/// there), kDepsFile (a pin file that is not understood: the build is broken).
[[nodiscard]] Result<Inventory> read_self(const std::filesystem::path& folder,
                                          const std::string& version, const BuildPins& pins);

}  // namespace mlxguard::inventory
