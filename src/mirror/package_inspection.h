// SPDX-License-Identifier: Apache-2.0
// What is found inside a wheel or a source distribution, as the mirror's findings. Input: hostile
// bytes.
#pragma once

#include <string>
#include <string_view>

#include "inventory/component.h"
#include "mirror/scanner.h"

namespace mlxguard::mirror {

/// A file's judgement and what it holds; the inventory is empty where it could not be opened.
struct PackageInspection {
  Judgement judgement;
  inventory::Inventory contents;
};

/// Opens the file by the kind that its name says. Malformed: quarantined. Of an unknown kind, or
/// with a part that could not be read: could not tell. Thread-safe.
[[nodiscard]] PackageInspection inspect_package(int fd, std::string_view project,
                                                std::string_view filename);

}  // namespace mlxguard::mirror
