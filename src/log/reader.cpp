// SPDX-License-Identifier: Apache-2.0
#include "log/reader.h"

#include <algorithm>

#include "base/limits.h"
#include "log/files.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

/// Each failed attempt means that the integrator took events out of the journal in between.
constexpr int kAttempts = 16;

/// Whether a reader without locks may meet this while the log is whole: files come and go.
bool is_passing(const Error& error) {
  return error.code == ErrorCode::kNotFound || error.code == ErrorCode::kTruncated;
}

}  // namespace

Result<Cursor> Cursor::open(const std::filesystem::path& dir, std::uint64_t position, Until until) {
  Cursor cursor(dir.string(), position, until);
  const std::string path = dir.string() + "/" + layout::kVerifierKey;
  auto vkey = read_file(path, limits::kCheckpointBytesMax);
  if (!vkey.has_value()) {
    if (vkey.error().code != ErrorCode::kNotFound) return std::move(vkey).error();
    return make_error(ErrorCode::kLogNotFound, "there is no event log here").about(dir.string());
  }
  MLXGUARD_TRY_ASSIGN(cursor.key_, VerifierKey::parse(*vkey));
  cursor.identity_ = cursor.key_.text();
  MLXGUARD_TRY_ASSIGN([[maybe_unused]] const std::uint64_t size, cursor.checkpoint_size());
  return cursor;
}

Result<std::uint64_t> Cursor::checkpoint_size() {
  MLXGUARD_TRY_ASSIGN(std::string text, read_file(store_.dir() + "/" + layout::kCheckpoint,
                                                  limits::kCheckpointBytesMax));
  if (text == checkpoint_text_) return checkpoint_size_;
  MLXGUARD_TRY_ASSIGN(const Checkpoint checkpoint, open_checkpoint(text, key_));
  checkpoint_text_ = std::move(text);
  checkpoint_size_ = checkpoint.size;
  return checkpoint_size_;
}

Result<std::vector<LogEntry>> Cursor::next() {
  for (int attempt = 1;; ++attempt) {
    MLXGUARD_TRY_ASSIGN(const std::uint64_t size, checkpoint_size());
    if (position_ < size) return from_tiles(size);
    if (until_ == Until::kCheckpoint) return std::vector<LogEntry>();
    auto entries = from_journal();
    const bool passing = !entries.has_value() && is_passing(entries.error());
    if (!passing || attempt == kAttempts) return entries;
    journal_ = {};
  }
}

Result<std::vector<LogEntry>> Cursor::from_tiles(std::uint64_t size) {
  const std::uint64_t bundle = position_ / layout::kTileWidth;
  const std::uint64_t first = bundle * layout::kTileWidth;
  const auto width =
      static_cast<unsigned>(std::min<std::uint64_t>(layout::kTileWidth, size - first));
  auto file = store_.bundle(bundle, width);
  if (!file.has_value()) {
    if (file.error().code != ErrorCode::kNotFound) return std::move(file).error();
    return make_error(ErrorCode::kLogEntryMissing, "an entry bundle is missing")
        .about(layout::bundle(bundle, width));
  }
  const BundleView view = parse_bundle(as_bytes(file->bytes), width);
  if (view.entries.size() < width) {
    return make_error(ErrorCode::kLogEntryMissing, "a bundle lacks entries")
        .about(layout::bundle(bundle, width));
  }
  std::vector<LogEntry> entries;
  for (std::uint64_t i = position_ - first; i < width; ++i) {
    entries.push_back({first + i, std::string(as_text(view.entries[i]))});
  }
  position_ = first + width;
  return entries;
}

Result<std::vector<LogEntry>> Cursor::from_journal() {
  MLXGUARD_TRY_ASSIGN(const JournalExtent extent, journal_extent(store_.dir()));
  MLXGUARD_TRY_ASSIGN(const JournalTail tail,
                      read_journal(store_.dir(), extent, position_, nullptr, journal_));
  std::vector<LogEntry> entries;
  std::uint64_t index = position_;
  auto gap = tail.gaps.begin();
  for (std::size_t i = 0; i < tail.records.size(); ++i) {
    for (; gap != tail.gaps.end() && gap->position == i; ++gap) index += gap->events;
    entries.push_back({index++, std::string(as_text(tail.records[i].entry))});
  }
  if (!tail.gaps.empty() && tail.gaps.front().position == 0) {
    // The events before the first file were integrated meanwhile, or they are lost.
    MLXGUARD_TRY_ASSIGN(const std::uint64_t size, checkpoint_size());
    if (size > position_) return from_tiles(size);
  }
  // A frame that is just being written looks damaged: it is read again by the next call.
  if (tail.damage.empty()) journal_ = tail.cursor;
  position_ = index;
  if (!tail.damage.empty() || entries.empty()) journal_ = {};
  return entries;
}

}  // namespace mlxguard::log
