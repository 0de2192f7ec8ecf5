// SPDX-License-Identifier: Apache-2.0
// ModelFolder: a model opened safely and enumerated; the first station of the model line.
// Everything is opened below the root without following links; nothing here is trusted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "artifact/file_identity.h"
#include "artifact/safe_open.h"
#include "artifact/snapshot.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "crypto/digest.h"

namespace mlxguard::artifact {

/// Name of the bundle beside the files of a model.
inline constexpr std::string_view kSignatureFile = "model.sig";
/// Folder of the bundles of further signers: `NAME.sig`, each a whole bundle over the same list.
inline constexpr std::string_view kMoreSignaturesFolder = "model.sig.d";

struct FileEntry {
  std::string name;  ///< POSIX path below the root; "." for a model that is a single file
  std::uint64_t size_bytes = 0;
};

/// The digest of a file, or of the shard of one that begins at `start_bytes`.
struct FileDigest {
  std::string name;
  std::uint64_t size_bytes = 0;  ///< of what the digest is over
  std::vector<std::uint8_t> digest;
  std::uint64_t start_bytes = 0;
};

/// What the digests of a model are over.
struct HashPlan {
  // NOLINTNEXTLINE: an algorithm alone means whole files
  HashPlan(crypto::HashAlgorithm of = crypto::HashAlgorithm::kSha256, std::uint64_t shard = 0)
      : algorithm(of), shard_bytes(shard) {}
  crypto::HashAlgorithm algorithm;
  std::uint64_t shard_bytes;  ///< 0: whole files
};

/// How a run over files tells how far it is, and asks whether it is still wanted. Both may be
/// called from any thread, at each quarter of a megabyte.
class Progress {
 public:
  using Tell = std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)>;
  using Stop = std::function<bool()>;
  Progress() = default;
  // NOLINTNEXTLINE: whoever only listens gives a function
  Progress(Tell tell, Stop stop = {}) : tell_(std::move(tell)), stop_(std::move(stop)) {}

  void tell(std::uint64_t bytes_done, std::uint64_t bytes_total) const {
    if (tell_) tell_(bytes_done, bytes_total);
  }
  [[nodiscard]] bool is_stopped() const { return stop_ && stop_(); }

 private:
  Tell tell_;
  Stop stop_;
};

class ModelFolder {
 public:
  /// Opens a folder, or a single file. Errors: kArtifactNotFound, kArtifactSymlink, kPermission.
  [[nodiscard]] static Result<ModelFolder> open(const std::filesystem::path& path);

  /// For enumerate() and everything after it; a new folder refuses links.
  void set_links(Links links) { links_ = links; }
  [[nodiscard]] Links links() const { return links_; }

  /// Whether a file named kSignatureFile at the top is the bundle. Where the bundle is elsewhere it
  /// is a file like others. For enumerate().
  enum class OwnBundle : std::uint8_t { kSkipped, kListed };
  void set_own_bundle(OwnBundle own_bundle) { own_bundle_ = own_bundle; }

  [[nodiscard]] bool is_single_file() const;
  /// Last component of the path as given: a default name for people.
  [[nodiscard]] const std::string& base_name() const;

  /// Where what was opened really is: absolute, without links. Errors: kIo.
  [[nodiscard]] Result<std::filesystem::path> location() const;

  /// A small file of the model (the bundle), bounded. kNotFound if it is not there.
  [[nodiscard]] Result<std::string> read_small(std::string_view name, std::size_t bytes_max) const;

  /// The first bytes of a file of the model, at most `bytes_max`; with the name "." of a single
  /// file.
  [[nodiscard]] Result<std::vector<std::uint8_t>> read_head(const std::string& name,
                                                            std::size_t bytes_max) const;

  /// Names (without the folder) of what lies in a folder of the model, sorted; none if it is not
  /// there. Errors: kArtifactSymlink, kArtifactTooMany for more than `count_max`.
  [[nodiscard]] Result<std::vector<std::string>> list_small(const std::string& folder,
                                                            std::size_t count_max) const;

  /// Every regular file, sorted by UTF-8 bytes, without the ignored paths (exact relative paths and
  /// their subtrees) and without the bundles. Errors: kArtifactSymlink, kArtifactSpecial,
  /// kArtifactName, kArtifactTooMany, kArtifactEmpty.
  [[nodiscard]] Result<std::vector<FileEntry>> enumerate(
      std::span<const std::string> ignored) const;

  /// Hashes the files where they are, each read once in bounded buffers, on all cores. Digests by
  /// file in the given order, shards by their start; `identities` (by file) says what was hashed.
  /// kArtifactChanged if a file's size changed meanwhile.
  [[nodiscard]] Result<std::vector<FileDigest>> hash(
      std::span<const FileEntry> files, HashPlan plan, const Progress& progress = {},
      std::vector<std::optional<FileIdentity>>* identities = nullptr) const;

  /// Copies the files into sealed memory; the digests are of exactly the bytes held there.
  /// `digests` receives them as hash() gives them (SnapshotFile::digest is the file's SHA-256 if
  /// the plan is that, zero otherwise).
  [[nodiscard]] Result<std::vector<SnapshotFile>> snapshot(std::span<const FileEntry> files,
                                                           HashPlan plan,
                                                           std::vector<FileDigest>& digests,
                                                           const Progress& progress = {}) const;
  /// The same without digests: the caller has to know from elsewhere what these bytes are.
  /// `identities` (by file) are those of the files while they were copied.
  [[nodiscard]] Result<std::vector<SnapshotFile>> snapshot_unhashed(
      std::span<const FileEntry> files, std::vector<std::optional<FileIdentity>>& identities,
      const Progress& progress = {}) const;

  /// Copies the files below the folder `destination` (its subfolders are made), each read once and
  /// written through to the disk, and hashes what was read.
  [[nodiscard]] Result<std::vector<FileDigest>> copy_to(const UniqueFd& destination,
                                                        std::span<const FileEntry> files,
                                                        HashPlan plan,
                                                        const Progress& progress = {}) const;

  /// Of a file as it is now. Errors: as for opening it.
  [[nodiscard]] Result<FileIdentity> identify(const std::string& name) const;
  /// Of a file as it is now: see artifact::writers_of(). Errors: as for opening it.
  [[nodiscard]] Result<Writers> writers(const std::string& name) const;

 private:
  ModelFolder() = default;
  [[nodiscard]] Result<UniqueFd> open_file(const std::string& name) const;
  UniqueFd root_;
  bool single_file_ = false;
  Links links_ = Links::kRefused;
  OwnBundle own_bundle_ = OwnBundle::kSkipped;
  std::string base_name_;
};

}  // namespace mlxguard::artifact
