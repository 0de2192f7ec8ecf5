// SPDX-License-Identifier: Apache-2.0
// One installed (or packed) Python distribution: what its .dist-info says, before anything is
// compared. Environment and wheel share it; files come through a reader, so that neither knows the
// other's storage.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "inventory/builder.h"
#include "inventory/metadata.h"
#include "inventory/record.h"
#include "inventory/sbom.h"

namespace mlxguard::inventory {

/// Reads one file by its path relative to the root; kNotFound where there is none.
using FileReader =
    std::function<Result<std::string>(const std::string& path, std::uint64_t bytes_max)>;

struct Distribution {
  std::string folder;  ///< of the dist-info, relative to the root
  std::string base;    ///< where RECORD's paths start, relative to the root
  Metadata metadata;
  std::string name;  ///< normalised
  std::string purl;
  std::optional<std::vector<RecordRow>> record;
  std::string installer;
  bool requested = false;
  std::vector<std::pair<std::string, std::string>> properties;
  std::vector<std::string> hashes;  ///< of the archive it was installed from, where that is known
  std::vector<std::pair<std::string, Sbom>> sboms;  ///< by path
};

/// Reads the dist-info at `folder`. What is missing or broken, but not the name, is observed;
/// without a name and version there is no distribution. Errors: those of METADATA.
[[nodiscard]] Result<Distribution> read_distribution(const std::string& folder,
                                                     const FileReader& read,
                                                     const std::vector<std::string>& sbom_files,
                                                     Builder& builder);

/// Adds its component, and those of the SBOMs that it carries; the purls of the latter.
[[nodiscard]] std::vector<std::string> add_distribution(const Distribution& distribution,
                                                        Builder& builder);

/// The lines of a .pth file that name folders, each a part of the text.
[[nodiscard]] std::set<std::string_view> path_file_folders(std::string_view text);

/// Lines of a .pth file that Python runs at every start, and folders that it adds from elsewhere.
void observe_path_file(std::string_view text, const std::string& purl, const std::string& path,
                       Builder& builder);

}  // namespace mlxguard::inventory
