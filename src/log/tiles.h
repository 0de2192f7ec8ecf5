// SPDX-License-Identifier: Apache-2.0
// Tiles and entry bundles on disk. Input: files that an attacker may have changed; nothing here is
// believed until its hash was compared (verify.h, TreeWriter::load).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "log/files.h"
#include "log/merkle.h"

namespace mlxguard::log {

/// Entries of a bundle, as far as its bytes make sense.
struct BundleView {
  std::vector<Bytes> entries;          ///< views into the bundle's bytes
  std::vector<std::uint64_t> offsets;  ///< where each entry's bytes begin
  bool whole = true;                   ///< false if bytes are left that are no entry
};
[[nodiscard]] BundleView parse_bundle(Bytes untrusted, unsigned entries_max);
/// Appends one entry: 16-bit big-endian length, then the bytes.
void append_to_bundle(std::string& bundle, Bytes entry);

/// A bundle as it was found: `width` is what its name says, which may be more than was asked for.
struct BundleFile {
  std::string bytes;
  unsigned width = 0;
};

/// Reads tiles. While a log is written its partial tiles are replaced by longer ones: a tile of a
/// smaller width is then read from the longer form. Thread-safe.
class TileStore {
 public:
  explicit TileStore(std::string dir) : dir_(std::move(dir)) {}

  /// Exactly `width` hashes. Errors: kNotFound; kLogTileChanged if the file has not its name's
  /// size.
  [[nodiscard]] Result<std::vector<Hash>> hashes(int level, std::uint64_t index,
                                                 unsigned width) const;
  /// A bundle that should have `width` entries or more. Errors: kNotFound.
  [[nodiscard]] Result<BundleFile> bundle(std::uint64_t index, unsigned width) const;
  /// One entry, by its place. Errors: kNotFound, kLogEntryChanged if no entry stands there.
  [[nodiscard]] Result<std::string> entry(std::uint64_t log_size, std::uint64_t index,
                                          std::uint64_t offset, std::size_t bytes) const;
  [[nodiscard]] TileReader reader() const {
    return [this](int level, std::uint64_t index, unsigned width) {
      return hashes(level, index, width);
    };
  }
  [[nodiscard]] const std::string& dir() const { return dir_; }

 private:
  struct OpenTile {
    UniqueFd fd;
    unsigned width;
  };
  [[nodiscard]] Result<OpenTile> open_tile(const std::string& full, unsigned width) const;
  std::string dir_;
};

/// Writes what a growing tree adds: bundles, tiles, and their partial forms.
/// One thread at a time, with DIR/lock.integrate held.
class TreeWriter {
 public:
  /// Reads the right edge and compares it with the root that was signed.
  /// Errors: kLogRoot, kLogEntryChanged, kLogEntryMissing, kLogTileChanged.
  [[nodiscard]] static Result<TreeWriter> load(const TileStore& store, std::uint64_t size,
                                               const Hash& root);

  /// Adds one entry; returns where its bytes begin in its bundle.
  [[nodiscard]] Result<std::uint64_t> add(Bytes entry, const Hash& leaf);
  /// Makes durable all that was added. After an error this writer is of no more use: load again.
  [[nodiscard]] Result<void> commit();
  /// Removes the partial forms that a tree of this size does not need.
  [[nodiscard]] Result<void> remove_stale_partials();
  [[nodiscard]] std::uint64_t size() const { return edge_.size(); }
  [[nodiscard]] Hash root() const { return edge_.root(); }

 private:
  explicit TreeWriter(std::string dir) : dir_(std::move(dir)) {}
  [[nodiscard]] Result<void> load_bundle(const TileStore& store);

  std::string dir_;
  TreeEdge edge_;
  std::string bundle_;           ///< the bytes of the partial bundle
  std::uint64_t committed_ = 0;  ///< size at the last commit
  std::uint64_t cleaned_ = 0;    ///< size at the last removal of stale partials
  std::unique_ptr<FileBatch> files_ = std::make_unique<FileBatch>();
};

}  // namespace mlxguard::log
