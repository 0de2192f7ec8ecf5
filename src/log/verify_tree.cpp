// SPDX-License-Identifier: Apache-2.0
#include "log/verify_tree.h"

#include <algorithm>
#include <bit>

#include "log/layout.h"

namespace mlxguard::log {
namespace {

using layout::kTileWidth;

// Entries in another place are told from changed ones by comparing all of them; beyond this many
// the log is beyond such fineness.
constexpr std::size_t kMismatchesMax = 100'000;

/// Trouble with the file itself is a finding; trouble with reading it is an error.
bool is_about_content(const Error& error) {
  return error.code == ErrorCode::kNotFound || error.code == ErrorCode::kLogTileChanged ||
         error.code == ErrorCode::kLogEntryChanged || error.code == ErrorCode::kTruncated;
}

std::vector<Hash> leaf_hashes(const BundleView& view) {
  std::vector<Hash> hashes;
  hashes.reserve(view.entries.size());
  for (const Bytes& entry : view.entries) hashes.push_back(leaf_hash(entry));
  return hashes;
}

std::string range_text(std::uint64_t first, std::uint64_t last) {
  if (first == last) return "entry " + std::to_string(first);
  return "entries " + std::to_string(first) + " to " + std::to_string(last);
}

}  // namespace

void FindingList::file(ErrorCode code, std::string subject, std::string message) {
  add({code, std::move(subject), std::nullopt, std::nullopt, std::move(message)});
}

void FindingList::entries(ErrorCode code, std::uint64_t first, std::uint64_t last,
                          std::string message) {
  if (!report_.findings.empty()) {
    Finding& previous = report_.findings.back();
    if (previous.code == code && previous.message == message && previous.last_entry.has_value() &&
        *previous.last_entry + 1 == first) {
      previous.last_entry = last;
      previous.subject = range_text(*previous.first_entry, last);
      return;
    }
  }
  add({code, range_text(first, last), first, last, std::move(message)});
}

void FindingList::add(Finding finding) {
  if (report_.findings.size() >= findings_max_) {
    ++report_.findings_left_out;
    return;
  }
  report_.findings.push_back(std::move(finding));
}

Result<void> TreeVerifier::run() {
  MLXGUARD_TRY_ASSIGN(const TreeEdge edge, trusted_edge());
  // Highest level first: that is from the first entry to the last.
  for (int level = layout::kLevelsMax - 1; level >= 0; --level) {
    const std::vector<Hash>& hashes = edge.partial(level);
    const std::uint64_t index = full_tiles(size_, level);
    if (hashes.empty()) continue;
    if (level == 0) {
      MLXGUARD_TRY(check_bundle(index, hashes));
      continue;
    }
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      MLXGUARD_TRY(check_tile(level - 1, index * kTileWidth + i, hashes[i]));
    }
  }
  report_mismatches();
  report_missing();
  return {};
}

Result<TreeVerifier::Hashes> TreeVerifier::stored(int level, std::uint64_t index,
                                                  unsigned width) const {
  auto hashes = store_.hashes(level, index, width);
  if (hashes.has_value()) return Hashes(*std::move(hashes));
  if (is_about_content(hashes.error())) return Hashes();
  return std::move(hashes).error();
}

/// What a tile should hold, by what is stored below it.
Result<TreeVerifier::Hashes> TreeVerifier::derived(int level, std::uint64_t index,
                                                   unsigned width) const {
  if (level == 0) {
    auto file = store_.bundle(index, width);
    if (!file.has_value()) {
      if (is_about_content(file.error())) return Hashes();
      return std::move(file).error();
    }
    std::vector<Hash> hashes = leaf_hashes(parse_bundle(as_bytes(file->bytes), width));
    return hashes.size() == width ? Hashes(std::move(hashes)) : Hashes();
  }
  std::vector<Hash> hashes;
  for (unsigned i = 0; i < width; ++i) {
    const std::uint64_t child_index = index * kTileWidth + i;
    MLXGUARD_TRY_ASSIGN(Hashes child, stored(level - 1, child_index, kTileWidth));
    if (!child.has_value()) {
      MLXGUARD_TRY_ASSIGN(child, derived(level - 1, child_index, kTileWidth));
    }
    if (!child.has_value()) return Hashes();
    hashes.push_back(perfect_root(*child));
  }
  return Hashes(std::move(hashes));
}

void TreeVerifier::tile_finding(int level, std::uint64_t index, unsigned width, bool is_there) {
  findings_.file(ErrorCode::kLogTileChanged, layout::tile(level, index, width),
                 is_there ? "a hash tile does not match the signed tree"
                          : "a hash tile is missing or has the wrong size");
}

/// The right edge that hashes to the signed root: as stored, or with as few tiles as possible
/// replaced by what the level below says. The replaced ones are findings.
Result<TreeEdge> TreeVerifier::trusted_edge() {
  std::vector<int> levels;
  std::vector<Hashes> stored_tiles;
  for (int level = 0; level < layout::kLevelsMax; ++level) {
    const unsigned width = edge_width(size_, level);
    if (width == 0) continue;
    levels.push_back(level);
    MLXGUARD_TRY_ASSIGN(Hashes hashes, stored(level, full_tiles(size_, level), width));
    stored_tiles.push_back(std::move(hashes));
  }
  if (auto edge = choose_edge(levels, stored_tiles, {}); edge.has_value()) return *std::move(edge);
  std::vector<Hashes> derived_tiles;
  for (const int level : levels) {
    MLXGUARD_TRY_ASSIGN(Hashes hashes,
                        derived(level, full_tiles(size_, level), edge_width(size_, level)));
    derived_tiles.push_back(std::move(hashes));
  }
  if (auto edge = choose_edge(levels, stored_tiles, derived_tiles); edge.has_value()) {
    return *std::move(edge);
  }
  findings_.file(ErrorCode::kLogRoot, layout::kCheckpoint,
                 "the tiles and entries do not hash to the root that was signed");
  // Nothing vouches for these tiles; they still show which entries do not fit them.
  TreeEdge edge;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    if (stored_tiles[i].has_value()) {
      edge.replace(levels[i], *stored_tiles[i]);
    } else {
      const std::uint64_t index = full_tiles(size_, levels[i]);
      const unsigned width = edge_width(size_, levels[i]);
      tile_finding(levels[i], index, width, false);
      if (derived_tiles[i].has_value()) {
        edge.replace(levels[i], *derived_tiles[i]);
      } else {
        const std::uint64_t leaves = std::uint64_t{1} << (8 * levels[i]);  // below one hash
        const std::uint64_t first = index * kTileWidth * leaves;
        note_missing(first, first + width * leaves - 1);
      }
    }
  }
  return edge;
}

std::optional<TreeEdge> TreeVerifier::choose_edge(const std::vector<int>& levels,
                                                  const std::vector<Hashes>& stored_tiles,
                                                  const std::vector<Hashes>& derived_tiles) {
  const unsigned choices = derived_tiles.empty() ? 1 : 1u << levels.size();
  std::vector<unsigned> order(choices);
  for (unsigned i = 0; i < choices; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [](unsigned a, unsigned b) { return std::popcount(a) < std::popcount(b); });
  for (const unsigned choice : order) {
    TreeEdge edge;
    bool complete = true;
    for (std::size_t i = 0; i < levels.size() && complete; ++i) {
      const Hashes& hashes = (choice >> i & 1) != 0 ? derived_tiles[i] : stored_tiles[i];
      complete = hashes.has_value();
      if (complete) edge.replace(levels[i], *hashes);
    }
    if (!complete || edge.root() != root_) continue;
    for (std::size_t i = 0; i < levels.size(); ++i) {
      if ((choice >> i & 1) == 0) continue;
      tile_finding(levels[i], full_tiles(size_, levels[i]), edge_width(size_, levels[i]),
                   stored_tiles[i].has_value());
    }
    return edge;
  }
  return std::nullopt;
}

Result<void> TreeVerifier::check_tile(int level, std::uint64_t index, const Hash& expected) {
  MLXGUARD_TRY_ASSIGN(Hashes tile, stored(level, index, kTileWidth));
  if (!tile.has_value() || perfect_root(*tile) != expected) {
    tile_finding(level, index, kTileWidth, tile.has_value());
    MLXGUARD_TRY_ASSIGN(Hashes below, derived(level, index, kTileWidth));
    const bool below_is_right = below.has_value() && perfect_root(*below) == expected;
    const std::uint64_t leaves = std::uint64_t{1} << (8 * (level + 1));
    if (!tile.has_value() && !below.has_value()) {
      note_missing(index * leaves, (index + 1) * leaves - 1);
      return {};
    }
    if (!below_is_right && below == tile) {
      // The tile was changed together with what is below it: which entry it was, nobody can say.
      findings_.entries(ErrorCode::kLogEntryChanged, index * leaves, (index + 1) * leaves - 1,
                        "one or more of these entries were changed together with their tiles");
    }
    if (below_is_right || !tile.has_value()) tile = std::move(below);
  }
  if (level == 0) return check_bundle(index, *tile);
  for (unsigned i = 0; i < kTileWidth; ++i) {
    MLXGUARD_TRY(check_tile(level - 1, index * kTileWidth + i, (*tile)[i]));
  }
  return {};
}

Result<void> TreeVerifier::check_bundle(std::uint64_t index, const std::vector<Hash>& expected) {
  const std::uint64_t first = index * kTileWidth;
  const auto width = static_cast<unsigned>(expected.size());
  auto file = store_.bundle(index, width);
  if (!file.has_value()) {
    if (!is_about_content(file.error())) return std::move(file).error();
    note_missing(first, first + width - 1);
    return {};
  }
  const BundleView view = parse_bundle(as_bytes(file->bytes), file->width);
  std::vector<Hash> actual = leaf_hashes(view);
  if (view.whole && actual.size() < width) {
    compare_shorter(first, actual, expected);
    return {};
  }
  bool differs = false;
  for (unsigned i = 0; i < width; ++i) {
    const Hash found = i < actual.size() ? actual[i] : Hash{};
    if (found == expected[i]) continue;
    differs = true;
    if (mismatches_.size() < kMismatchesMax) mismatches_.push_back({first + i, found, expected[i]});
  }
  if (!differs && (!view.whole || actual.size() != file->width)) {
    findings_.file(ErrorCode::kLogEntryChanged, layout::bundle(index, file->width),
                   "a bundle holds other bytes than its entries");
  }
  return {};
}

/// Fewer entries than there should be: if they are in order, the others were removed.
void TreeVerifier::compare_shorter(std::uint64_t first, const std::vector<Hash>& actual,
                                   const std::vector<Hash>& expected) {
  std::vector<std::uint64_t> removed;
  std::size_t position = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (position < actual.size() && actual[position] == expected[i]) {
      ++position;
    } else {
      removed.push_back(first + i);
    }
  }
  if (position == actual.size()) {
    for (const std::uint64_t entry : removed) note_missing(entry, entry);
    return;
  }
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] != expected[i]) mismatches_.push_back({first + i, actual[i], expected[i]});
  }
  note_missing(first + actual.size(), first + expected.size() - 1);
}

void TreeVerifier::note_missing(std::uint64_t first, std::uint64_t last) {
  if (!missing_.empty() && missing_.back().second + 1 == first) {
    missing_.back().second = last;
  } else {
    missing_.emplace_back(first, last);
  }
}

void TreeVerifier::report_mismatches() {
  std::map<Hash, std::uint64_t> place;
  for (const Mismatch& mismatch : mismatches_) place.emplace(mismatch.expected, mismatch.index);
  for (const Mismatch& mismatch : mismatches_) {
    const auto other = place.find(mismatch.actual);
    if (other == place.end()) {
      findings_.entries(ErrorCode::kLogEntryChanged, mismatch.index, mismatch.index,
                        "the entry is not what was logged");
    } else {
      findings_.entries(ErrorCode::kLogEntryOrder, mismatch.index, mismatch.index,
                        "another entry stands here than the one that was logged here");
    }
  }
}

void TreeVerifier::report_missing() {
  std::sort(missing_.begin(), missing_.end());
  for (const auto& [first, last] : missing_) {
    if (last + 1 == size_) {
      findings_.entries(ErrorCode::kLogTruncated, first, last,
                        "the log ends before what its checkpoint covers");
    } else {
      findings_.entries(ErrorCode::kLogEntryMissing, first, last,
                        "the log has no such entry any more");
    }
  }
}

}  // namespace mlxguard::log
