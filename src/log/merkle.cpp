// SPDX-License-Identifier: Apache-2.0
#include "log/merkle.h"

#include <algorithm>
#include <bit>

namespace mlxguard::log {
namespace {

constexpr std::uint8_t kLeafPrefix[] = {0x00};
constexpr std::uint8_t kNodePrefix[] = {0x01};

}  // namespace

Hash leaf_hash(Bytes entry) { return crypto::sha256({Bytes(kLeafPrefix), entry}); }

Hash node_hash(const Hash& left, const Hash& right) {
  std::array<std::uint8_t, 65> message;
  message[0] = kNodePrefix[0];
  std::copy(left.begin(), left.end(), message.begin() + 1);
  std::copy(right.begin(), right.end(), message.begin() + 33);
  return crypto::sha256(Bytes(message));
}

Hash empty_root() { return crypto::sha256(Bytes()); }

Hash perfect_root(std::span<const Hash> hashes) {
  MLXGUARD_CHECK(std::has_single_bit(hashes.size()));
  if (hashes.size() == 1) return hashes[0];
  std::vector<Hash> row(hashes.begin(), hashes.end());
  while (row.size() > 1) {
    for (std::size_t i = 0; i + 1 < row.size(); i += 2) row[i / 2] = node_hash(row[i], row[i + 1]);
    row.resize(row.size() / 2);
  }
  return row[0];
}

unsigned edge_width(std::uint64_t size, int level) {
  return static_cast<unsigned>((size >> (8 * level)) & 0xff);
}

std::uint64_t full_tiles(std::uint64_t size, int level) {
  return level + 1 >= layout::kLevelsMax ? 0 : size >> (8 * (level + 1));
}

Result<TreeEdge> TreeEdge::load(std::uint64_t size, const TileReader& read) {
  TreeEdge edge;
  edge.size_ = size;
  for (int level = 0; level < layout::kLevelsMax; ++level) {
    const unsigned width = edge_width(size, level);
    if (width == 0) continue;
    MLXGUARD_TRY_ASSIGN(std::vector<Hash> hashes, read(level, full_tiles(size, level), width));
    MLXGUARD_CHECK(hashes.size() == width);
    edge.replace(level, std::move(hashes));
  }
  return edge;
}

Result<void> TreeEdge::push(const Hash& leaf, const FullTile& full) {
  Hash hash = leaf;
  const std::uint64_t size = size_ + 1;
  for (int level = 0; level < layout::kLevelsMax; ++level) {
    std::vector<Hash>& tile = levels_[static_cast<std::size_t>(level)];
    tile.push_back(hash);
    if (tile.size() < layout::kTileWidth) break;
    MLXGUARD_TRY(full(level, full_tiles(size, level) - 1, tile));
    hash = perfect_root(tile);
    tile.clear();
  }
  size_ = size;
  return {};
}

Hash TreeEdge::root() const {
  // The tree is a row of perfect trees, largest first; RFC 6962 joins them from the right.
  std::vector<Hash> perfect;
  for (int level = layout::kLevelsMax - 1; level >= 0; --level) {
    std::span<const Hash> rest = partial(level);
    while (!rest.empty()) {
      const std::size_t count = std::bit_floor(rest.size());
      perfect.push_back(perfect_root(rest.first(count)));
      rest = rest.subspan(count);
    }
  }
  if (perfect.empty()) return empty_root();
  Hash root = perfect.back();
  for (std::size_t i = perfect.size() - 1; i > 0; --i) root = node_hash(perfect[i - 1], root);
  return root;
}

Result<Hash> root_at(std::uint64_t size, const TileReader& read) {
  MLXGUARD_TRY_ASSIGN(const TreeEdge edge, TreeEdge::load(size, read));
  return edge.root();
}

}  // namespace mlxguard::log
