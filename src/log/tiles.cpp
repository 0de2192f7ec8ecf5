// SPDX-License-Identifier: Apache-2.0
#include "log/tiles.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>

#include "base/limits.h"
#include "base/os_error.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

using layout::kTileWidth;

constexpr std::size_t kLengthBytes = 2;
constexpr std::size_t kBundleBytesMax = kTileWidth * (kLengthBytes + limits::kEventBytesMax);

std::size_t length_at(Bytes bytes) {
  return static_cast<std::size_t>(bytes[0]) << 8 | static_cast<std::size_t>(bytes[1]);
}

/// Widths of the partial forms in a `.p` folder.
std::vector<unsigned> partial_widths(const std::string& folder) {
  std::vector<unsigned> widths;
  std::error_code error;
  std::filesystem::directory_iterator names(folder, error);
  for (; !error && names != std::filesystem::directory_iterator(); names.increment(error)) {
    const std::string name = names->path().filename().string();
    unsigned width = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), width);
    if (bad == std::errc() && end == name.data() + name.size()) widths.push_back(width);
  }
  return widths;
}

Result<void> keep_partial(const std::string& folder, unsigned width_kept) {
  for (const unsigned width : partial_widths(folder)) {
    if (width == width_kept) continue;
    const std::string path = folder + "/" + std::to_string(width);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return os_error("unlink", path);
  }
  if (width_kept == 0 && ::rmdir(folder.c_str()) != 0 && errno != ENOENT && errno != ENOTEMPTY) {
    return os_error("rmdir", folder);
  }
  return {};
}

Bytes bytes_of(std::span<const Hash> hashes) {
  static_assert(sizeof(Hash) == 32);
  return {hashes.empty() ? nullptr : hashes.front().data(), hashes.size_bytes()};
}

}  // namespace

BundleView parse_bundle(Bytes untrusted, unsigned entries_max) {
  BundleView view;
  std::size_t position = 0;
  while (position < untrusted.size() && view.entries.size() < entries_max) {
    const Bytes rest = untrusted.subspan(position);
    if (rest.size() < kLengthBytes || rest.size() - kLengthBytes < length_at(rest)) {
      view.whole = false;
      return view;
    }
    view.entries.push_back(rest.subspan(kLengthBytes, length_at(rest)));
    view.offsets.push_back(position + kLengthBytes);
    position += kLengthBytes + length_at(rest);
  }
  view.whole = position == untrusted.size();
  return view;
}

void append_to_bundle(std::string& bundle, Bytes entry) {
  MLXGUARD_CHECK(entry.size() <= limits::kEventBytesMax);
  bundle.push_back(static_cast<char>(entry.size() >> 8));
  bundle.push_back(static_cast<char>(entry.size() & 0xff));
  bundle.append(as_text(entry));
}

Result<TileStore::OpenTile> TileStore::open_tile(const std::string& full, unsigned width) const {
  constexpr int kAttempts = 16;  // each failed one means that the log has grown in between
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::vector<unsigned> widths{width};
    if (width < kTileWidth) widths.push_back(kTileWidth);
    if (width < kTileWidth && attempt > 0) {
      for (const unsigned other : partial_widths(dir_ + "/" + full + ".p")) {
        if (other > width && other < kTileWidth) widths.push_back(other);
      }
    }
    for (const unsigned found : widths) {
      const std::string name = full + (found < kTileWidth ? ".p/" + std::to_string(found) : "");
      const std::string path = dir_ + "/" + name;
      UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      if (fd.is_open()) return OpenTile{std::move(fd), found};
      if (errno != ENOENT && errno != ENOTDIR) return os_error("open", name);
    }
    if (width == kTileWidth) break;
  }
  return make_error(ErrorCode::kNotFound, "the file is not there")
      .about(width < kTileWidth ? full + ".p/" + std::to_string(width) : full);
}

Result<std::vector<Hash>> TileStore::hashes(int level, std::uint64_t index, unsigned width) const {
  const std::string name = layout::tile(level, index, kTileWidth);
  MLXGUARD_TRY_ASSIGN(const OpenTile tile, open_tile(name, width));
  MLXGUARD_TRY_ASSIGN(const std::uint64_t size, size_of(tile.fd.get()));
  if (size != tile.width * sizeof(Hash)) {
    return make_error(ErrorCode::kLogTileChanged,
                      "expected a tile of " + std::to_string(tile.width) + " hashes, found " +
                          std::to_string(size) + " bytes")
        .about(layout::tile(level, index, tile.width));
  }
  MLXGUARD_TRY_ASSIGN(const std::string bytes, read_at(tile.fd.get(), 0, width * sizeof(Hash)));
  std::vector<Hash> hashes(width);
  for (unsigned i = 0; i < width; ++i) {
    const Bytes hash = as_bytes(bytes).subspan(i * sizeof(Hash), sizeof(Hash));
    std::copy(hash.begin(), hash.end(), hashes[i].begin());
  }
  return hashes;
}

Result<BundleFile> TileStore::bundle(std::uint64_t index, unsigned width) const {
  MLXGUARD_TRY_ASSIGN(const OpenTile tile, open_tile(layout::bundle(index, kTileWidth), width));
  MLXGUARD_TRY_ASSIGN(const std::uint64_t size, size_of(tile.fd.get()));
  if (size > kBundleBytesMax) {
    return make_error(ErrorCode::kLogEntryChanged, "a bundle is larger than its entries can be")
        .about(layout::bundle(index, width));
  }
  BundleFile file{{}, tile.width};
  MLXGUARD_TRY_ASSIGN(file.bytes, read_at(tile.fd.get(), 0, static_cast<std::size_t>(size)));
  return file;
}

Result<std::string> TileStore::entry(std::uint64_t log_size, std::uint64_t index,
                                     std::uint64_t offset, std::size_t bytes) const {
  const std::uint64_t bundle_index = index / kTileWidth;
  const unsigned width =
      bundle_index < full_tiles(log_size, 0) ? kTileWidth : edge_width(log_size, 0);
  MLXGUARD_TRY_ASSIGN(const OpenTile tile,
                      open_tile(layout::bundle(bundle_index, kTileWidth), width));
  const auto read = offset < kLengthBytes
                        ? Result<std::string>(std::string())
                        : read_at(tile.fd.get(), offset - kLengthBytes, bytes + kLengthBytes);
  if (!read.has_value() || read->size() < kLengthBytes || length_at(as_bytes(*read)) != bytes) {
    return make_error(ErrorCode::kLogEntryChanged, "no entry stands where the index says")
        .about(std::to_string(index));
  }
  return read->substr(kLengthBytes);
}

Result<TreeWriter> TreeWriter::load(const TileStore& store, std::uint64_t size, const Hash& root) {
  TreeWriter writer(store.dir());
  auto edge = TreeEdge::load(size, store.reader());
  if (!edge.has_value()) {
    if (edge.error().code != ErrorCode::kNotFound) return std::move(edge).error();
    return make_error(ErrorCode::kLogTileChanged, "a hash tile is missing")
        .about(edge.error().subject);
  }
  writer.edge_ = *std::move(edge);
  writer.committed_ = size;
  // A process may have died before it removed what the last integrations made stale.
  writer.cleaned_ = size - std::min<std::uint64_t>(size, 2 * limits::kLogIntegrationEventsMax);
  if (writer.edge_.root() != root) {
    return make_error(ErrorCode::kLogRoot, "the tiles do not hash to the checkpoint's root")
        .hinting("run `mlxguard log verify` to see what was changed");
  }
  MLXGUARD_TRY(writer.load_bundle(store));
  return writer;
}

Result<void> TreeWriter::load_bundle(const TileStore& store) {
  const unsigned width = edge_width(edge_.size(), 0);
  if (width == 0) return {};
  const std::uint64_t index = full_tiles(edge_.size(), 0);
  auto file = store.bundle(index, width);
  if (!file.has_value()) {
    if (file.error().code != ErrorCode::kNotFound) return std::move(file).error();
    return make_error(ErrorCode::kLogEntryMissing, "an entry bundle is missing")
        .about(layout::bundle(index, width));
  }
  const BundleView view = parse_bundle(as_bytes(file->bytes), width);
  for (unsigned i = 0; i < width; ++i) {
    if (i >= view.entries.size() || leaf_hash(view.entries[i]) != edge_.partial(0)[i]) {
      return make_error(ErrorCode::kLogEntryChanged, "an entry does not hash to its leaf")
          .about(std::to_string(index * kTileWidth + i));
    }
  }
  bundle_ = file->bytes.substr(0, view.offsets.back() + view.entries.back().size());
  return {};
}

Result<std::uint64_t> TreeWriter::add(Bytes entry, const Hash& leaf) {
  const std::uint64_t offset = bundle_.size() + kLengthBytes;
  append_to_bundle(bundle_, entry);
  const auto full = [&](int level, std::uint64_t index,
                        std::span<const Hash> hashes) -> Result<void> {
    const std::string path = dir_ + "/" + layout::tile(level, index, kTileWidth);
    MLXGUARD_TRY(files_->add(path, bytes_of(hashes)));
    if (level > 0) return {};
    const std::string entries = dir_ + "/" + layout::bundle(index, kTileWidth);
    MLXGUARD_TRY(files_->add(entries, as_bytes(bundle_)));
    bundle_.clear();
    return {};
  };
  Result<void> pushed = edge_.push(leaf, full);
  if (!pushed.has_value()) return std::move(pushed).error();
  return offset;
}

Result<void> TreeWriter::commit() {
  for (int level = 0; level < layout::kLevelsMax; ++level) {
    const unsigned width = edge_width(size(), level);
    const bool unchanged = (committed_ >> (8 * level)) == (size() >> (8 * level));
    if (width == 0 || unchanged) continue;
    const std::uint64_t index = full_tiles(size(), level);
    const std::string path = dir_ + "/" + layout::tile(level, index, width);
    MLXGUARD_TRY(files_->add(path, bytes_of(edge_.partial(level))));
    if (level > 0) continue;
    MLXGUARD_TRY(files_->add(dir_ + "/" + layout::bundle(index, width), as_bytes(bundle_)));
  }
  MLXGUARD_TRY(files_->commit());
  committed_ = size();
  return {};
}

Result<void> TreeWriter::remove_stale_partials() {
  for (int level = 0; level < layout::kLevelsMax; ++level) {
    if (size() >> (8 * level) == 0) break;
    // Every tile that may have been partial since this was done last.
    for (std::uint64_t index = full_tiles(cleaned_, level); index <= full_tiles(size(), level);
         ++index) {
      const bool current = index == full_tiles(size(), level);
      const unsigned width = current ? edge_width(size(), level) : 0;
      MLXGUARD_TRY(keep_partial(dir_ + "/" + layout::tile_partials(level, index), width));
      if (level == 0) {
        MLXGUARD_TRY(keep_partial(dir_ + "/" + layout::bundle_partials(index), width));
      }
    }
  }
  cleaned_ = size();
  return {};
}

}  // namespace mlxguard::log
