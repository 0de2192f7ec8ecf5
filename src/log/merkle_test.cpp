// SPDX-License-Identifier: Apache-2.0
#include "log/merkle.h"

#include <doctest/doctest.h>

#include <map>

#include "codec/text.h"

using namespace mlxguard;          // NOLINT
using namespace mlxguard::log;  // NOLINT

namespace {

/// RFC 6962, section 2.1, word for word.
Hash definition(std::span<const Hash> leaves) {
  if (leaves.empty()) return empty_root();
  if (leaves.size() == 1) return leaves[0];
  std::size_t split = 1;
  while (split * 2 < leaves.size()) split *= 2;
  return node_hash(definition(leaves.first(split)), definition(leaves.subspan(split)));
}

struct Tiles {
  std::map<std::pair<int, std::uint64_t>, std::vector<Hash>> full;
  TreeEdge edge;

  void push(const Hash& leaf) {
    const auto keep = [this](int level, std::uint64_t index,
                             std::span<const Hash> hashes) -> Result<void> {
      full[{level, index}] = {hashes.begin(), hashes.end()};
      return {};
    };
    REQUIRE(edge.push(leaf, keep).has_value());
  }
  [[nodiscard]] TileReader reader() const {
    return [this](int level, std::uint64_t index, unsigned width) -> Result<std::vector<Hash>> {
      const auto found = full.find({level, index});
      const std::vector<Hash>& hashes = found != full.end() ? found->second : edge.partial(level);
      REQUIRE(hashes.size() >= width);
      return std::vector<Hash>(hashes.begin(), hashes.begin() + width);
    };
  }
};

std::vector<Hash> numbered_leaves(std::size_t count) {
  std::vector<Hash> leaves;
  for (std::size_t i = 0; i < count; ++i) leaves.push_back(leaf_hash(as_bytes(std::to_string(i))));
  return leaves;
}

}  // namespace

TEST_CASE("events: roots of the trees that RFC 6962 implementations share as test vectors") {
  const auto hex = [](const Hash& hash) { return codec::to_hex(Bytes(hash)); };
  CHECK(hex(empty_root()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex(leaf_hash({})) == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
  std::vector<Hash> leaves;
  for (const char* text : {"", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                           "606162636465666768696a6b6c6d6e6f"}) {
    const auto bytes = codec::from_hex(text);
    REQUIRE(bytes.has_value());
    leaves.push_back(leaf_hash(Bytes(*bytes)));
  }
  CHECK(hex(perfect_root(leaves)) ==
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}

TEST_CASE("events: a tree that grows leaf by leaf has the root of the definition at every size") {
  const std::vector<Hash> leaves = numbered_leaves(700);
  Tiles tiles;
  CHECK(tiles.edge.root() == empty_root());
  for (std::size_t size = 1; size <= leaves.size(); ++size) {
    tiles.push(leaves[size - 1]);
    REQUIRE(tiles.edge.root() == definition(std::span(leaves).first(size)));
  }
  for (const std::uint64_t size : {1u, 255u, 256u, 257u, 511u, 512u, 699u}) {
    const auto root = root_at(size, tiles.reader());
    REQUIRE(root.has_value());
    CHECK(*root == definition(std::span(leaves).first(size)));
  }
}

TEST_CASE("events: beyond 65536 leaves the tree has three levels of tiles") {
  constexpr std::size_t kSize = 66'000;
  const std::vector<Hash> leaves = numbered_leaves(kSize);
  Tiles tiles;
  for (const Hash& leaf : leaves) tiles.push(leaf);
  CHECK(tiles.edge.root() == definition(leaves));
  CHECK(tiles.full.contains({1, 0}));
  CHECK(tiles.edge.partial(2).size() == 1);
  const auto again = TreeEdge::load(kSize, tiles.reader());
  REQUIRE(again.has_value());
  CHECK(again->root() == tiles.edge.root());
}

TEST_CASE("events: names of tiles are those of tlog-tiles") {
  CHECK(layout::tile(0, 0, 256) == "tile/0/000");
  CHECK(layout::tile(1, 1234067, 256) == "tile/1/x001/x234/067");
  CHECK(layout::tile(0, 1000, 7) == "tile/0/x001/000.p/7");
  CHECK(layout::bundle(5, 256) == "tile/entries/005");
  CHECK(layout::bundle(999, 1) == "tile/entries/999.p/1");
}
