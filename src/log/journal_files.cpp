// SPDX-License-Identifier: Apache-2.0
// The journal's files: reading across them, and the one writer.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/limits.h"
#include "base/os_error.h"
#include "log/files.h"
#include "log/journal.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

// Appends made while the integrator cannot write end here at the latest: read whole, never mapped.
constexpr std::size_t kSegmentReadBytesMax = 4 * limits::kLogSegmentBytesMax;
constexpr std::size_t kTailBytes = limits::kLogSegmentBytesMax;
/// Zeros that are written at once behind a small frame.
constexpr std::size_t kRoomBytes = 256u << 10;

std::string segment_path(const std::string& dir, std::uint64_t first_index) {
  return dir + "/" + layout::journal_segment(first_index);
}

template <class Visit>
Result<void> each_name(const std::string& dir, Visit visit) {
  const std::string folder = dir + "/" + layout::kJournalFolder;
  std::error_code error;
  std::filesystem::directory_iterator names(folder, error);
  if (error == std::errc::no_such_file_or_directory) return {};
  for (; !error && names != std::filesystem::directory_iterator(); names.increment(error)) {
    visit(names->path().filename().string());
  }
  if (error) return os_error("readdir", folder, error.value());
  return {};
}

Error out_of_order(std::uint64_t expected, std::uint64_t found) {
  return make_error(ErrorCode::kLogJournal, "expected event " + std::to_string(expected) +
                                                " next in the journal, found " +
                                                std::to_string(found));
}

/// Puts what the journal's files hold one after another into a tail.
class TailBuilder {
 public:
  TailBuilder(JournalTail& tail, std::uint64_t from, std::uint64_t expected)
      : tail_(tail), from_(from), expected_(expected) {}

  /// `base`: where in its file the scanned bytes began.
  void add(std::uint64_t segment, std::uint64_t base, const SegmentScan& scan) {
    skip_to(segment);  // a file is named by the index that was next when it was made
    auto damage = scan.damage.begin();
    std::uint64_t position = 0;
    for (const JournalFrame& frame : scan.frames) {
      while (damage != scan.damage.end() && damage->offset <= position) {
        position = damage->offset + damage->bytes;
        note(segment, base, *damage++);
      }
      add_frame(segment, base + position, frame);
      position += frame.bytes;
    }
    for (; damage != scan.damage.end(); ++damage) note(segment, base, *damage);
    tail_.torn_bytes += scan.torn_bytes;
    tail_.cursor = {segment, base + scan.end, expected_};
  }

 private:
  /// Index numbers below `index` that did not come are lost, unless the checkpoint has them.
  void skip_to(std::uint64_t index) {
    const std::uint64_t first = std::max(from_, expected_);
    if (index > first) tail_.gaps.push_back({tail_.records.size(), index - first});
    expected_ = std::max(expected_, index);
  }

  void note(std::uint64_t segment, std::uint64_t base, JournalDamage found) {
    found.segment = segment;
    found.offset += base;
    tail_.damage.push_back(found);
    if (found.events > 0) skip_to(found.first_index + found.events);
  }

  void add_frame(std::uint64_t segment, std::uint64_t offset, const JournalFrame& frame) {
    if (frame.first_index < expected_) {  // a copy of an older frame: no event of its own
      tail_.damage.push_back({segment, offset, frame.bytes, 0, 0});
      return;
    }
    skip_to(frame.first_index);
    for (std::size_t i = 0; i < frame.records.size(); ++i) {
      if (frame.first_index + i >= from_) tail_.records.push_back(frame.records[i]);
    }
    expected_ = frame.first_index + frame.records.size();
  }

  JournalTail& tail_;
  std::uint64_t from_;
  std::uint64_t expected_;
};

}  // namespace

Result<std::vector<std::uint64_t>> list_segments(const std::string& dir) {
  std::vector<std::uint64_t> segments;
  MLXGUARD_TRY(each_name(dir, [&](const std::string& name) {
    std::uint64_t index = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (error == std::errc() && end == name.data() + name.size() && name.size() == 20) {
      segments.push_back(index);
    }
  }));
  std::sort(segments.begin(), segments.end());
  return segments;
}

Result<std::vector<std::string>> list_damaged(const std::string& dir) {
  std::vector<std::string> names;
  MLXGUARD_TRY(each_name(dir, [&](const std::string& name) {
    if (name.starts_with(layout::kDamagedPrefix)) names.push_back(name);
  }));
  std::sort(names.begin(), names.end());
  return names;
}

Result<JournalExtent> journal_extent(const std::string& dir) {
  MLXGUARD_TRY_ASSIGN(const std::vector<std::uint64_t> segments, list_segments(dir));
  JournalExtent extent;
  for (const std::uint64_t segment : segments) {
    struct stat status {};
    const std::string path = segment_path(dir, segment);
    if (::stat(path.c_str(), &status) != 0) return os_error("stat", path);
    const std::int64_t changed_ns =
        std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
    extent.files.push_back({segment, static_cast<std::uint64_t>(status.st_size), changed_ns});
  }
  return extent;
}

Result<JournalTail> read_journal(const std::string& dir, const JournalExtent& extent,
                                 std::uint64_t from, const JournalKey* key,
                                 const JournalCursor& cursor) {
  const auto& files = extent.files;
  const auto fits = [&](const JournalExtent::File& file) {
    return file.segment == cursor.segment && cursor.next_index == from &&
           cursor.offset <= file.bytes;
  };
  auto file = std::find_if(files.begin(), files.end(), fits);
  const bool goes_on = file != files.end();
  if (!goes_on) {
    file =
        std::find_if(files.begin(), files.end(), [&](const auto& f) { return f.segment > from; });
    if (file != files.begin()) --file;
  }
  JournalTail tail;
  const std::uint64_t expected =
      goes_on || file == files.end() ? from : std::min(file->segment, from);
  TailBuilder builder(tail, from, expected);
  tail.cursor = {0, 0, from};
  std::size_t bytes_read = 0;
  for (std::uint64_t base = goes_on ? cursor.offset : 0; file != files.end(); ++file, base = 0) {
    if (bytes_read >= kTailBytes) {
      tail.at_end = false;
      return tail;
    }
    if (file->bytes - base > kSegmentReadBytesMax) {
      return make_error(ErrorCode::kLogJournal,
                        "a journal file is larger than any writer makes it");
    }
    const std::string path = segment_path(dir, file->segment);
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.is_open()) return os_error("open", path);
    MLXGUARD_TRY_ASSIGN(std::string bytes,
                        read_at(fd.get(), base, static_cast<std::size_t>(file->bytes - base)));
    tail.segments.push_back(std::move(bytes));
    bytes_read += tail.segments.back().size();
    SegmentScan scan =
        scan_segment(as_bytes(tail.segments.back()), key, FrameCheck::kMacAndEntries);
    if (scan.torn_bytes > 0 && file + 1 != files.end()) {
      // Only the newest file can end in the middle of a frame.
      scan.damage.push_back({0, scan.end, scan.torn_bytes, 0, 0});
      scan.torn_bytes = 0;
    }
    builder.add(file->segment, base, scan);
  }
  return tail;
}

Result<void> trim_journal(const std::string& dir, std::uint64_t size) {
  MLXGUARD_TRY_ASSIGN(const std::vector<std::uint64_t> segments, list_segments(dir));
  for (std::size_t i = 0; i + 1 < segments.size() && segments[i + 1] <= size; ++i) {
    if (::unlink(segment_path(dir, segments[i]).c_str()) != 0 && errno != ENOENT) {
      return os_error("unlink", segment_path(dir, segments[i]));
    }
  }
  return {};
}

Result<JournalWriter> JournalWriter::open(const std::string& dir, std::uint64_t next_index,
                                          const crypto::Secret& log_seed) {
  JournalWriter writer(dir, log_seed);
  writer.next_index_ = next_index;
  MLXGUARD_TRY(make_folders(dir + "/" + layout::kJournalFolder));
  MLXGUARD_TRY(writer.open_newest());
  MLXGUARD_TRY(writer.read_new_frames());
  MLXGUARD_TRY(writer.refresh());
  // Every event of the journal may be below the checkpoint; the next one still gets the next index.
  if (writer.next_index_ < next_index) {
    writer.next_index_ = next_index;
    MLXGUARD_TRY(writer.open_segment(next_index));
  }
  return writer;
}

Result<void> JournalWriter::open_segment(std::uint64_t first_index) {
  const std::string path = segment_path(dir_, first_index);
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  UniqueFd fd(::open(path.c_str(), kFlags, 0600));
  if (!fd.is_open()) return os_error("open", path);
  MLXGUARD_TRY(sync_folder(dir_ + "/" + layout::kJournalFolder));
  fd_ = std::move(fd);
  segment_ = first_index;
  offset_ = 0;
  allocated_ = 0;
  next_index_ = first_index;
  sealed_ = false;
  return {};
}

Result<void> JournalWriter::open_newest() {
  MLXGUARD_TRY_ASSIGN(const std::vector<std::uint64_t> segments, list_segments(dir_));
  const bool other = !segments.empty() && (!fd_.is_open() || segments.back() > segment_);
  return open_segment(other ? segments.back() : next_index_);
}

Result<void> JournalWriter::refresh() {
  if (broken_) {
    return make_error(ErrorCode::kLogWrite, "an earlier write could not be taken back");
  }
  while (true) {
    if (sealed_) {
      if (next_index_ == segment_) return out_of_order(next_index_, segment_);  // a seal alone
      MLXGUARD_TRY(open_newest());
    }
    MLXGUARD_TRY_ASSIGN(const std::uint64_t size, size_of(fd_.get()));
    if (size < offset_) {
      return make_error(ErrorCode::kLogJournal, "the journal became shorter while it was in use");
    }
    allocated_ = size;
    MLXGUARD_TRY_ASSIGN(const bool more, has_more(size));
    if (!more && !sealed_) return check_name();
    if (more) MLXGUARD_TRY(read_new_frames());
  }
}

/// Whether another process wrote behind this writer's last frame: zeros are only room.
Result<bool> JournalWriter::has_more(std::uint64_t size) const {
  constexpr std::uint64_t kLookBytes = 8;
  const std::uint64_t look = std::min(size - offset_, kLookBytes);
  MLXGUARD_TRY_ASSIGN(const std::string bytes,
                      read_at(fd_.get(), offset_, static_cast<std::size_t>(look)));
  return bytes.find_first_not_of('\0') != std::string::npos;
}

Result<void> JournalWriter::check_name() const {
  // A recovery by another process sets damaged files aside: what is appended to one would be lost.
  struct stat named {};
  struct stat open_file {};
  if (::fstat(fd_.get(), &open_file) != 0) return os_error("fstat");
  if (::stat(segment_path(dir_, segment_).c_str(), &named) != 0 ||
      named.st_ino != open_file.st_ino || named.st_dev != open_file.st_dev) {
    return make_error(ErrorCode::kLogJournal, "the journal was replaced while it was in use");
  }
  return {};
}

Result<void> JournalWriter::read_new_frames() {
  MLXGUARD_TRY_ASSIGN(const std::uint64_t size, size_of(fd_.get()));
  if (size - offset_ > kSegmentReadBytesMax) {
    return make_error(ErrorCode::kLogJournal, "a journal file is larger than any writer makes it");
  }
  MLXGUARD_TRY_ASSIGN(const std::string bytes,
                      read_at(fd_.get(), offset_, static_cast<std::size_t>(size - offset_)));
  const SegmentScan scan = scan_segment(as_bytes(bytes), &key_, FrameCheck::kMac);
  if (!scan.damage.empty()) {
    return make_error(ErrorCode::kLogJournal, "the journal is damaged")
        .hinting("run `mlxguard log verify`; a restart recovers what is intact");
  }
  for (const JournalFrame& frame : scan.frames) {
    if (frame.first_index != next_index_) return out_of_order(next_index_, frame.first_index);
    next_index_ += frame.records.size();
    offset_ += frame.bytes;
    if (frame.records.empty()) sealed_ = true;
  }
  // The lock is ours, so nobody is writing: an incomplete frame is of a process that died.
  if (scan.torn_bytes > 0) {
    if (::ftruncate(fd_.get(), static_cast<off_t>(offset_)) != 0) return os_error("ftruncate");
    allocated_ = offset_;
  }
  return {};
}

Result<void> JournalWriter::append(std::span<const JournalRecord> records) {
  if (offset_ >= limits::kLogSegmentBytesMax) MLXGUARD_TRY(rotate(1));
  MLXGUARD_TRY(write_frame(records));
  next_index_ += records.size();
  return {};
}

Result<void> JournalWriter::write_frame(std::span<const JournalRecord> records) {
  std::string frame = encode_frame(next_index_, records, key_);
  const std::uint64_t frame_bytes = frame.size();
  // Small frames are written over zeros: then fdatasync has no new size or blocks to commit.
  if (frame_bytes < kRoomBytes / 4 && offset_ + frame_bytes > allocated_) {
    frame.append(kRoomBytes, '\0');
  }
  Result<void> done = write_at(fd_.get(), offset_, as_bytes(frame));
  if (done.has_value() && ::fdatasync(fd_.get()) != 0) done = os_error("fdatasync");
  if (!done.has_value()) {
    // What was written in part must not be found later: callers are told that it is not there.
    broken_ = ::ftruncate(fd_.get(), static_cast<off_t>(offset_)) != 0;
    allocated_ = offset_;
    return done;
  }
  allocated_ = std::max(allocated_, offset_ + frame.size());
  offset_ += frame_bytes;
  return {};
}

Result<void> JournalWriter::rotate(std::uint64_t bytes_min) {
  if (offset_ < bytes_min || offset_ == 0) return {};
  MLXGUARD_TRY(write_frame({}));
  sealed_ = true;
  return open_newest();
}

}  // namespace mlxguard::log
