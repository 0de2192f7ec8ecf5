// SPDX-License-Identifier: Apache-2.0
// The Merkle tree of RFC 6962 over log entries, as C2SP tlog-tiles cuts it: 256 hashes a tile. Pure
// functions and one small value; where tiles come from is the caller's business.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "log/layout.h"

namespace mlxguard::log {

using Hash = crypto::Sha256Digest;

[[nodiscard]] Hash leaf_hash(Bytes entry);
[[nodiscard]] Hash node_hash(const Hash& left, const Hash& right);
/// Root of the empty tree.
[[nodiscard]] Hash empty_root();
/// Root of 1, 2, 4, ... hashes of equal height.
[[nodiscard]] Hash perfect_root(std::span<const Hash> hashes);

/// Hashes in the rightmost tile of `level` in a tree of `size` leaves; 0 if that tile is full or
/// absent.
[[nodiscard]] unsigned edge_width(std::uint64_t size, int level);
/// Index of that tile: also the number of full tiles at `level`.
[[nodiscard]] std::uint64_t full_tiles(std::uint64_t size, int level);

/// The first `width` hashes of a tile.
using TileReader =
    std::function<Result<std::vector<Hash>>(int level, std::uint64_t index, unsigned width)>;

/// The right edge of a tree: enough to append to it and to know its root. One thread at a time.
class TreeEdge {
 public:
  using FullTile =
      std::function<Result<void>(int level, std::uint64_t index, std::span<const Hash> hashes)>;

  TreeEdge() = default;
  [[nodiscard]] static Result<TreeEdge> load(std::uint64_t size, const TileReader& read);

  /// Appends a leaf; calls `full` for each tile that it completes, lowest level first.
  [[nodiscard]] Result<void> push(const Hash& leaf, const FullTile& full);
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] Hash root() const;
  /// The hashes of the partial tile at `level`; empty if there is none.
  [[nodiscard]] const std::vector<Hash>& partial(int level) const {
    return levels_[static_cast<std::size_t>(level)];
  }
  /// Another partial tile in place of the one at `level`, of the same width.
  void replace(int level, std::vector<Hash> hashes) {
    levels_[static_cast<std::size_t>(level)] = std::move(hashes);
  }

 private:
  std::uint64_t size_ = 0;
  std::array<std::vector<Hash>, layout::kLevelsMax> levels_;
};

/// Root of the first `size` leaves.
[[nodiscard]] Result<Hash> root_at(std::uint64_t size, const TileReader& read);

}  // namespace mlxguard::log
