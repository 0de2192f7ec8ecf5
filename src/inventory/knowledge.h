// SPDX-License-Identifier: Apache-2.0
// What the build of an mlx version is known to fetch and to copy in, from its CMake files at that
// version. Data about the usual build: someone else's build of the same version may differ, so a
// row alone is weak evidence; together with symbols it gives the version that symbols do not tell.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace mlxguard::inventory {

struct KnowledgeRow {
  enum class Platform : std::uint8_t { kAll, kDarwin, kCuda, kWindows };
  std::string_view library;  ///< the binary that holds it: "libmlx", "core", "libjaccl"
  std::string_view first;    ///< version of mlx
  std::string_view until;    ///< first version without it; empty: in the newest that is known
  Platform platform;
  std::string_view name;
  std::string_view purl;     ///< with version
  std::string_view version;  ///< empty: copied in, and no version is told
  std::string_view source;   ///< where in mlx this is written
};

/// Every row; in the order of library, name, version.
[[nodiscard]] std::span<const KnowledgeRow> knowledge_rows();
/// The newest mlx version that the table was compared with.
[[nodiscard]] std::string_view knowledge_until();
/// Rows for a binary of this mlx version. Beyond knowledge_until() the newest rows, to be used for
/// names only.
[[nodiscard]] std::vector<const KnowledgeRow*> knowledge_of(std::string_view library,
                                                            std::string_view mlx_version,
                                                            KnowledgeRow::Platform platform);
/// Negative, 0 or positive; by the numbers of the release, "0.9.1" before "0.10".
[[nodiscard]] int compare_releases(std::string_view a, std::string_view b);

}  // namespace mlxguard::inventory
