// SPDX-License-Identifier: Apache-2.0
#include "format/zip.h"

#include <algorithm>
#include <cstring>

#include "base/limits.h"

namespace mlxguard::format {
namespace {

constexpr std::uint32_t kEndMark = 0x06054b50, kRecordMark = 0x02014b50, kLocalMark = 0x04034b50,
                        kEnd64Mark = 0x06064b50, kLocator64Mark = 0x07064b50;
constexpr std::size_t kEndBytes = 22, kLocatorBytes = 20, kEnd64Bytes = 56, kRecordBytes = 46,
                      kLocalBytes = 30, kCommentBytesMax = 65'535;
constexpr std::uint32_t kIn64 = 0xFFFFFFFF;
constexpr std::uint16_t kSizesFollow = 1u << 3;  // flag: sizes stand behind the data

template <class T>
T number_at(Bytes file, std::uint64_t at) {
  T value{};
  if (at <= file.size() && file.size() - at >= sizeof(T)) {
    std::memcpy(&value, file.data() + at, sizeof value);
  }
  return value;
}

Error broken(std::string why) { return make_error(ErrorCode::kArchive, std::move(why)); }

/// Sizes and places beyond 32 bits. False: malformed.
bool read_extra(Bytes extra, ZipEntry& entry) {
  while (extra.size() >= 4) {
    const auto kind = number_at<std::uint16_t>(extra, 0);
    const std::size_t size = number_at<std::uint16_t>(extra, 2);
    if (extra.size() - 4 < size) return false;
    Bytes body = extra.subspan(4, size);
    if (kind == 1) {
      for (std::uint64_t* value : {&entry.bytes, &entry.packed_bytes, &entry.header_at}) {
        if (*value != kIn64) continue;
        if (body.size() < 8) return false;
        *value = number_at<std::uint64_t>(body, 0);
        body = body.subspan(8);
      }
    }
    extra = extra.subspan(4 + size);
  }
  return true;
}

/// The record at the end, whose comment reaches the end of the file.
std::optional<std::uint64_t> find_end(Bytes file) {
  if (file.size() < kEndBytes) return std::nullopt;
  const std::uint64_t last = file.size() - kEndBytes;
  for (std::uint64_t back = 0; back <= std::min<std::uint64_t>(last, kCommentBytesMax); ++back) {
    const std::uint64_t place = last - back;
    if (number_at<std::uint32_t>(file, place) == kEndMark &&
        number_at<std::uint16_t>(file, place + 20) == back) {
      return place;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> zip_behind_other_content(Bytes file) {
  const auto end = find_end(file);
  if (!end) return std::nullopt;
  const std::uint64_t directory_bytes = number_at<std::uint32_t>(file, *end + 12);
  const std::uint64_t directory_at = number_at<std::uint32_t>(file, *end + 16);
  if (directory_bytes > *end || directory_at > *end - directory_bytes) return std::nullopt;
  const std::uint64_t begin = *end - directory_bytes - directory_at;
  const bool directory =
      number_at<std::uint32_t>(file, *end - directory_bytes) == kRecordMark && directory_bytes != 0;
  if (!directory) return std::nullopt;
  if (begin != 0) return begin;
  // Offsets that count what stands before: the archive begins with the first entry they name.
  const std::uint64_t first = number_at<std::uint32_t>(file, directory_at + 42);
  return first != 0 ? std::optional(std::uint64_t{0}) : std::nullopt;
}

bool leaves_folder(std::string_view name) {
  if (name.starts_with("/") || name.find('\\') != name.npos) return true;
  if (name.size() > 1 && name[1] == ':') return true;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    if (name.substr(at, end - at) == "..") return true;
    at = end + 1;
  }
  return false;
}

Result<ZipArchive> ZipArchive::open(Bytes file, std::uint64_t& failed_at) {
  ZipArchive archive(file);
  MLXGUARD_TRY(archive.find_directory(failed_at));
  std::uint64_t at = archive.directory_at_;
  for (std::uint64_t i = 0; i < archive.count_; ++i) {
    failed_at = at;
    if (archive.entries_.size() == limits::kZipEntriesMax) {
      return make_error(ErrorCode::kTooLarge, "an archive of more entries than are read");
    }
    auto entry = archive.read_record(at, at);
    if (!entry) return broken("its directory is cut off or malformed");
    archive.entries_.push_back(std::move(*entry));
  }
  failed_at = at;
  if (at != archive.directory_end_) {
    return broken("its directory holds more than it counts: readers find different entries in it");
  }
  return archive;
}

Result<void> ZipArchive::find_directory(std::uint64_t& failed_at) {
  failed_at = 0;
  const auto end = find_end(file_);
  if (!end) {
    return broken("it has no directory at its end: readers find different entries in it");
  }
  failed_at = *end;
  count_ = number_at<std::uint16_t>(file_, *end + 10);
  std::uint64_t directory_bytes = number_at<std::uint32_t>(file_, *end + 12);
  directory_at_ = number_at<std::uint32_t>(file_, *end + 16);
  directory_end_ = *end;
  if (number_at<std::uint16_t>(file_, *end + 4) != 0) return broken("one part of several");
  const bool located = *end >= kLocatorBytes &&
                       number_at<std::uint32_t>(file_, *end - kLocatorBytes) == kLocator64Mark;
  if (located) {
    const auto end64 = number_at<std::uint64_t>(file_, *end - kLocatorBytes + 8);
    const bool there = *end >= kLocatorBytes + kEnd64Bytes &&
                       end64 <= *end - kLocatorBytes - kEnd64Bytes &&
                       number_at<std::uint32_t>(file_, end64) == kEnd64Mark;
    if (!there) return broken("its 64-bit directory is not where it says");
    count_ = number_at<std::uint64_t>(file_, end64 + 32);
    directory_bytes = number_at<std::uint64_t>(file_, end64 + 40);
    directory_at_ = number_at<std::uint64_t>(file_, end64 + 48);
    directory_end_ = end64;
  }
  if (directory_at_ > directory_end_ || directory_bytes != directory_end_ - directory_at_) {
    return broken("its directory is not where it says: readers find different entries in it");
  }
  return {};
}

std::optional<ZipEntry> ZipArchive::read_record(std::uint64_t place, std::uint64_t& end) const {
  const std::uint64_t room = directory_end_ - place;
  if (room < kRecordBytes || number_at<std::uint32_t>(file_, place) != kRecordMark) {
    return std::nullopt;
  }
  ZipEntry entry;
  entry.record_at = place;
  entry.flags = number_at<std::uint16_t>(file_, place + 8);
  entry.method = number_at<std::uint16_t>(file_, place + 10);
  entry.crc = number_at<std::uint32_t>(file_, place + 16);
  entry.packed_bytes = number_at<std::uint32_t>(file_, place + 20);
  entry.bytes = number_at<std::uint32_t>(file_, place + 24);
  const std::size_t name = number_at<std::uint16_t>(file_, place + 28);
  const std::size_t extra = number_at<std::uint16_t>(file_, place + 30);
  const std::size_t comment = number_at<std::uint16_t>(file_, place + 32);
  entry.mode = number_at<std::uint32_t>(file_, place + 38) >> 16;
  entry.header_at = number_at<std::uint32_t>(file_, place + 42);
  const std::size_t all = kRecordBytes + name + extra + comment;
  if (room < all) return std::nullopt;
  entry.name = as_text(file_.subspan(place + kRecordBytes, name));
  if (!read_extra(file_.subspan(place + kRecordBytes + name, extra), entry)) return std::nullopt;
  end = place + all;
  return entry;
}

Result<ZipArchive::Local> ZipArchive::locate(const ZipEntry& entry) const {
  const std::uint64_t header = entry.header_at;
  if (header > directory_at_ || directory_at_ - header < kLocalBytes ||
      number_at<std::uint32_t>(file_, header) != kLocalMark) {
    return broken("an entry that is not where the directory says").about(entry.name);
  }
  const std::size_t name = number_at<std::uint16_t>(file_, header + 26);
  const std::size_t extra = number_at<std::uint16_t>(file_, header + 28);
  const std::uint64_t data = header + kLocalBytes + name + extra;
  if (data > directory_at_ || entry.packed_bytes > directory_at_ - data) {
    return broken("an entry that is cut off").about(entry.name);
  }
  ZipEntry own;
  own.packed_bytes = number_at<std::uint32_t>(file_, header + 18);
  own.bytes = number_at<std::uint32_t>(file_, header + 22);
  const bool read = read_extra(file_.subspan(header + kLocalBytes + name, extra), own);
  const auto flags = number_at<std::uint16_t>(file_, header + 6);
  // Writers that do not know the sizes yet write zeros, or none that are known.
  const bool sizes_follow = (flags & kSizesFollow) != 0;
  Local local;
  local.packed = file_.subspan(data, entry.packed_bytes);
  local.agrees =
      read && flags == entry.flags &&
      as_text(file_.subspan(header + kLocalBytes, name)) == entry.name &&
      number_at<std::uint16_t>(file_, header + 8) == entry.method &&
      (sizes_follow || (own.packed_bytes == entry.packed_bytes && own.bytes == entry.bytes &&
                        number_at<std::uint32_t>(file_, header + 14) == entry.crc));
  return local;
}

Result<Inflated> ZipArchive::unpack(const ZipEntry& entry, Bytes packed, InflateBounds bounds) {
  const auto bad = [&](const char* why) { return broken(why).about(entry.name); };
  if (entry.encrypted()) return bad("it is encrypted");
  Inflated out;
  if (entry.method == kZipStored) {
    out.total_bytes = out.packed_bytes = packed.size();
    out.crc32 = crc32_of(packed);
    const Bytes kept = packed.first(
        static_cast<std::size_t>(std::min<std::uint64_t>(packed.size(), bounds.kept_bytes_max)));
    out.kept.assign(kept.begin(), kept.end());
  } else if (entry.method == kZipDeflated) {
    // Beyond what is announced nothing is unpacked: a lie about the size costs nothing.
    InflateBounds announced = bounds;
    announced.total_bytes_max = std::min(bounds.total_bytes_max, entry.bytes);
    auto inflated = inflate(packed, Wrapper::kRaw, announced);
    if (!inflated) {
      Error error = std::move(inflated).error();
      if (entry.bytes <= bounds.total_bytes_max) error.code = ErrorCode::kArchive;
      return std::move(error).about(entry.name);
    }
    out = std::move(inflated).value();
  } else {
    return bad("it is packed by a method that is not read");
  }
  if (out.total_bytes != entry.bytes || out.packed_bytes != packed.size()) {
    return bad("it lies about its size");
  }
  return out;
}

}  // namespace mlxguard::format
