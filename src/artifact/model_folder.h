// SPDX-License-Identifier: Apache-2.0
// ModelFolder: a model opened safely and enumerated; the first station of the model line. Everything is
// opened below the root without following links; nothing here is trusted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "artifact/snapshot.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/digest.h"

namespace mlxguard::artifact {

/// Name of the bundle beside the files of a model.
inline constexpr std::string_view kSignatureFile = "model.sig";

struct FileEntry {
  std::string name;  ///< POSIX path below the root; "." for a model that is a single file
  std::uint64_t size_bytes = 0;
};

struct FileDigest {
  std::string name;
  std::uint64_t size_bytes = 0;
  std::vector<std::uint8_t> digest;
};

/// Called with bytes done so far; from any thread, not often.
using Progress = std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)>;

class ModelFolder {
 public:
  /// Opens a folder, or a single file. Errors: kArtifactNotFound, kArtifactSymlink, kPermission.
  [[nodiscard]] static Result<ModelFolder> open(const std::filesystem::path& path);

  [[nodiscard]] bool is_single_file() const;
  /// Last component of the path as given: a default name for people.
  [[nodiscard]] const std::string& base_name() const;

  /// A small file of the model (the bundle), bounded. kNotFound if it is not there.
  [[nodiscard]] Result<std::string> read_small(std::string_view name, std::size_t bytes_max) const;

  /// Every regular file, sorted by UTF-8 bytes, without the ignored paths (exact relative paths and
  /// their subtrees) and without the bundle. Errors: kArtifactSymlink, kArtifactSpecial, kArtifactName,
  /// kArtifactTooMany, kArtifactEmpty.
  [[nodiscard]] Result<std::vector<FileEntry>> enumerate(std::span<const std::string> ignored) const;

  /// Hashes the files, each read once in bounded buffers, several files at a time on all cores.
  /// kArtifactChanged if a file's size changed meanwhile.
  [[nodiscard]] Result<std::vector<FileDigest>> hash(std::span<const FileEntry> files,
                                                     crypto::HashAlgorithm algorithm,
                                                     const Progress& progress = {}) const;

  /// Copies the files into sealed memory; the digests are of exactly the bytes held there. `digests`
  /// receives them in the wanted algorithm, in order (SnapshotFile::digest is SHA-256 when that is the
  /// algorithm, zero otherwise).
  [[nodiscard]] Result<std::vector<SnapshotFile>> snapshot(std::span<const FileEntry> files,
                                                           crypto::HashAlgorithm algorithm,
                                                           std::vector<FileDigest>& digests,
                                                           const Progress& progress = {}) const;

 private:
  ModelFolder() = default;
  [[nodiscard]] Result<UniqueFd> open_file(const std::string& name) const;
  UniqueFd root_;
  bool single_file_ = false;
  std::string base_name_;
};

}  // namespace mlxguard::artifact
