// SPDX-License-Identifier: Apache-2.0
// The one entry to the inventory: what does this environment, project, wheel, lock file or SBOM
// hold? Every byte that it reads may have been chosen by an attacker; nothing that it finds is
// executed. What could not be read is an Observation, never left out silently.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "inventory/component.h"

namespace mlxguard::inventory {

/// Whether the hash of each file that a RECORD lists is compared with the file.
enum class RecordCheck : std::uint8_t { kFiles, kNone };
/// Whether shared libraries are opened to find what is inside them.
enum class NativeParts : std::uint8_t { kRead, kSkip };

/// Of a folder with several lock and requirements files: the most exact one, or all of them.
enum class Locks : std::uint8_t { kMostExact, kEvery };

struct ReadOptions {
  RecordCheck records = RecordCheck::kFiles;
  NativeParts native = NativeParts::kRead;
  Locks locks = Locks::kMostExact;
  unsigned threads = 0;  ///< 0: one a core
  /// Bytes done and in total, from any thread; may be empty.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

/// Reads what `path` is: a Python environment (its prefix or a site-packages folder), a project (a
/// folder with pyproject.toml, a lock file or requirements.txt), a wheel, a source distribution, a
/// requirements file, pylock.toml, uv.lock, poetry.lock, or an SBOM (CycloneDX, SPDX). Of a
/// project's folder what is not read is observed, by its name.
/// Errors: kNotFound, kDepsEnvironment (nothing of these), and those of the one format.
[[nodiscard]] Result<Inventory> read_inventory(const std::filesystem::path& path,
                                               const ReadOptions& options = {});

/// Where the names in a requirements file start from: the project that it is in, so that a file in
/// a folder of it may name one beside.
struct RequirementsPlace {
  std::filesystem::path root;
  std::string name;  ///< of the file, relative to the root
};
[[nodiscard]] RequirementsPlace requirements_place(const std::filesystem::path& file);

/// A wheel: its distribution as a component, its native parts, its observations (files that differ
/// from RECORD, unrecorded files, .pth files with code). Refused as a whole (kWheel): paths that
/// lead out of it, two entries of one name, more or larger entries than allowed, no or two
/// dist-infos.
[[nodiscard]] Result<Inventory> read_wheel(const std::filesystem::path& file,
                                           const ReadOptions& options = {});
/// The same from a descriptor (its own position is not moved); `file_name` is the wheel's name.
[[nodiscard]] Result<Inventory> read_wheel(int fd, std::string_view file_name,
                                           const ReadOptions& options = {});

/// A source distribution (.tar.gz or .zip): its PKG-INFO as a component; setup.py and build back
/// ends that run code of the archive are observations (kInstallHook).
[[nodiscard]] Result<Inventory> read_sdist(int fd, std::string_view file_name,
                                           const ReadOptions& options = {});

}  // namespace mlxguard::inventory
