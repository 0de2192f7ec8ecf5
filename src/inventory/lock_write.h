// SPDX-License-Identifier: Apache-2.0
// Lock files from what a resolver chose: pylock.toml (PEP 751) and requirements with hashes. The
// resolver (pip, uv) is trusted to resolve; its answer is read like any other foreign text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inventory/component.h"

namespace mlxguard::inventory {

struct LockFile {
  std::string name;    ///< file name
  std::string url;     ///< without credentials
  std::string sha256;  ///< lowercase hex
};

struct LockEntry {
  std::string name{};  ///< normalised
  std::string version{};
  std::vector<LockFile> wheels{};
  std::vector<LockFile> sdists{};    ///< at most one
  std::vector<std::string> needs{};  ///< normalised names, of what is locked too
  std::string record_digest{};       ///< of the installed files; may be empty
  std::string marker{};  ///< when it is wanted; empty: always
  bool yanked = false;
};

/// pip's `--report`. Errors: kResolver (not understood; a file without sha256 or from no index).
[[nodiscard]] Result<std::vector<LockEntry>> read_pip_report(std::string_view text);
/// A pylock.toml that a resolver printed. Errors: kResolver.
[[nodiscard]] Result<std::vector<LockEntry>> read_resolved_pylock(std::string_view text);

/// Takes digests of installed files, and who needs whom, from an environment of the same versions.
void add_installed(std::vector<LockEntry>& entries, const Inventory& environment);

/// One lock of what was resolved for several environments (markers, which exclude each other): what
/// is the same everywhere has no marker.
[[nodiscard]] std::vector<LockEntry> joined_entries(
    const std::vector<std::pair<std::string, std::vector<LockEntry>>>& by_environment);

[[nodiscard]] std::string to_pylock(const std::vector<LockEntry>& entries, const LockTerms& terms);
[[nodiscard]] std::string to_requirements(const std::vector<LockEntry>& entries);

}  // namespace mlxguard::inventory
