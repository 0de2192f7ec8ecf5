// SPDX-License-Identifier: Apache-2.0
#include "inspect/zip_scan.h"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace mlxguard::inspect {
namespace {

constexpr std::size_t kEntriesMax = 100'000;
constexpr std::uint64_t kEntryBytesMax = 256ull << 20;    // unpacked, of one entry
constexpr std::uint64_t kArchiveBytesMax = 512ull << 20;  // unpacked, of all together
constexpr std::uint64_t kRatioMax = 1100;                 // beyond what deflate can do

template <class T>
T number_at(Bytes file, std::size_t at) {
  T value{};
  if (at <= file.size() && file.size() - at >= sizeof(T))
    std::memcpy(&value, file.data() + at, sizeof value);
  return value;
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

void unsafe(Findings& findings, std::string reason, std::string_view evidence,
            std::uint64_t offset) {
  findings.add(Rule::kArchiveUnsafe, std::move(reason), evidence, {.offset = offset, .line = {}});
}

enum class Wrapper : int { kRaw = -15, kGzip = 15 + 16 };

/// Unpacks at most `bytes_max`; nothing if it is malformed, ends early, or is more than that.
std::optional<std::vector<std::uint8_t>> unpack(Bytes packed, Wrapper wrapper,
                                                std::uint64_t bytes_max) {
  z_stream stream{};
  if (::inflateInit2(&stream, static_cast<int>(wrapper)) != Z_OK) return std::nullopt;
  std::vector<std::uint8_t> out;
  constexpr std::size_t kStep = 1u << 20;
  std::size_t fed = 0;
  int status = Z_OK;
  while (status == Z_OK && out.size() <= bytes_max) {
    if (stream.avail_in == 0 && fed < packed.size()) {
      const std::size_t count = std::min<std::size_t>(packed.size() - fed, 1u << 30);
      stream.next_in = const_cast<std::uint8_t*>(packed.data() + fed);  // zlib only reads
      stream.avail_in = static_cast<uInt>(count);
      fed += count;
    }
    const std::size_t before = out.size();
    out.resize(before + kStep);
    stream.next_out = out.data() + before;
    stream.avail_out = kStep;
    status = ::inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (status == Z_BUF_ERROR) break;
  }
  ::inflateEnd(&stream);
  if (status != Z_STREAM_END || out.size() > bytes_max) return std::nullopt;
  return out;
}

struct ZipEntry {
  std::string name;
  std::uint16_t flags = 0, method = 0;
  std::uint32_t crc = 0;
  std::uint64_t packed_bytes = 0, bytes = 0, header_at = 0;
  std::uint32_t mode = 0;
  std::uint64_t at = 0;  ///< of its record in the central directory
};

class Zip {
 public:
  Zip(Bytes file, Findings& findings, const EntryVisitor& visit)
      : file_(file), findings_(findings), visit_(visit) {}

  void run() {
    if (!find_directory()) return;
    std::size_t at = static_cast<std::size_t>(directory_at_);
    std::vector<ZipEntry> entries;
    for (std::uint64_t i = 0; i < count_; ++i) {
      if (entries.size() == kEntriesMax)
        return findings_.gap("an archive of more entries than are read");
      ZipEntry entry;
      if (!read_record(at, entry)) {
        unsafe(findings_, "its directory is cut off or malformed", {}, at);
        return findings_.gap("an archive whose directory is malformed");
      }
      entries.push_back(std::move(entry));
    }
    look_before(entries);
    for (const ZipEntry& entry : entries) look_at(entry);
  }

 private:
  static constexpr std::uint32_t kEndMark = 0x06054b50, kRecordMark = 0x02014b50,
                                 kLocalMark = 0x04034b50, kEnd64Mark = 0x06064b50,
                                 kLocator64Mark = 0x07064b50;

  template <class T>
  [[nodiscard]] T at(std::uint64_t place) const {
    return number_at<T>(file_, static_cast<std::size_t>(place));
  }

  bool find_directory() {
    constexpr std::size_t kEndSize = 22;
    constexpr std::size_t kCommentMax = 65'535;
    std::size_t end = file_.size() < kEndSize ? 0 : file_.size() - kEndSize;
    const std::size_t last = end > kCommentMax ? end - kCommentMax : 0;
    bool found = false;
    for (std::size_t place = end + 1; file_.size() >= kEndSize && place-- > last;) {
      if (at<std::uint32_t>(place) != kEndMark) continue;
      if (place + kEndSize + at<std::uint16_t>(place + 20) != file_.size()) continue;
      end = place;
      found = true;
      break;
    }
    if (!found) {
      unsafe(findings_, "it has no directory at its end: readers find different entries in it", {},
             0);
      findings_.gap("an archive without a directory");
      return false;
    }
    count_ = at<std::uint16_t>(end + 10);
    const std::uint64_t size = at<std::uint32_t>(end + 12);
    directory_at_ = at<std::uint32_t>(end + 16);
    std::uint64_t directory_end = end;
    std::uint64_t directory_bytes = size;
    if (end >= 20 && at<std::uint32_t>(end - 20) == kLocator64Mark) {
      const std::uint64_t end64 = at<std::uint64_t>(end - 20 + 8);
      if (end64 > file_.size() || at<std::uint32_t>(end64) != kEnd64Mark) {
        unsafe(findings_, "its 64-bit directory is not where it says", {}, end - 20);
        findings_.gap("an archive whose directory is malformed");
        return false;
      }
      count_ = at<std::uint64_t>(end64 + 32);
      directory_bytes = at<std::uint64_t>(end64 + 40);
      directory_at_ = at<std::uint64_t>(end64 + 48);
      directory_end = end64;
    }
    if (directory_at_ > directory_end || directory_bytes != directory_end - directory_at_) {
      unsafe(findings_, "its directory is not where it says: readers find different entries in it",
             {}, end);
      findings_.gap("an archive whose directory is malformed");
      return false;
    }
    return true;
  }

  bool read_record(std::size_t& place, ZipEntry& entry) {
    constexpr std::size_t kRecordSize = 46;
    if (file_.size() - place < kRecordSize || at<std::uint32_t>(place) != kRecordMark) return false;
    entry.at = place;
    entry.flags = at<std::uint16_t>(place + 8);
    entry.method = at<std::uint16_t>(place + 10);
    entry.crc = at<std::uint32_t>(place + 16);
    entry.packed_bytes = at<std::uint32_t>(place + 20);
    entry.bytes = at<std::uint32_t>(place + 24);
    const std::size_t name = at<std::uint16_t>(place + 28);
    const std::size_t extra = at<std::uint16_t>(place + 30);
    const std::size_t comment = at<std::uint16_t>(place + 32);
    entry.mode = at<std::uint32_t>(place + 38) >> 16;
    entry.header_at = at<std::uint32_t>(place + 42);
    const std::size_t all = kRecordSize + name + extra + comment;
    if (file_.size() - place < all) return false;
    entry.name = as_text(file_.subspan(place + kRecordSize, name));
    if (!read_extra(file_.subspan(place + kRecordSize + name, extra), entry)) return false;
    place += all;
    return true;
  }

  /// Sizes and places beyond 32 bits.
  static bool read_extra(Bytes extra, ZipEntry& entry) {
    constexpr std::uint32_t kIn64 = 0xFFFFFFFF;
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

  /// What is wrong with the entries together: a name twice, bytes twice, bombs.
  void look_before(std::vector<ZipEntry>& entries) {
    std::set<std::string_view> names;
    std::uint64_t whole = 0, packed = 0;
    for (const ZipEntry& entry : entries) {
      if (!names.insert(entry.name).second) {
        unsafe(findings_, "a name twice: readers take different ones", entry.name, entry.at);
      }
      whole += std::min(entry.bytes, UINT64_MAX / kEntriesMax / 2);
      packed += std::min(entry.packed_bytes, UINT64_MAX / kEntriesMax / 2);
    }
    if (packed > file_.size())
      unsafe(findings_, "its entries share their bytes, as a bomb's do", {}, 0);
    if (whole / kRatioMax > file_.size()) {
      unsafe(findings_, "it unpacks to far more than it is", std::to_string(whole) + " bytes", 0);
    }
  }

  void look_at(const ZipEntry& entry) {
    if (leaves_folder(entry.name) || entry.name.empty() ||
        entry.name.find('\0') != entry.name.npos) {
      unsafe(findings_, "an entry whose name leaves the folder", entry.name, entry.at);
    }
    if (S_ISLNK(entry.mode)) unsafe(findings_, "an entry that is a link", entry.name, entry.at);
    if ((entry.mode & (S_ISUID | S_ISGID)) != 0 && !S_ISLNK(entry.mode)) {
      unsafe(findings_, "an entry that runs with its owner's rights", entry.name, entry.at);
    }
    const auto gap = [&](const std::string& why) {
      findings_.gap(evidence_of(entry.name) + ": " + why);
    };
    const std::uint64_t header = entry.header_at;
    constexpr std::size_t kLocalSize = 30;
    if (header > file_.size() || file_.size() - header < kLocalSize ||
        at<std::uint32_t>(header) != kLocalMark) {
      unsafe(findings_, "an entry that is not where the directory says", entry.name, entry.at);
      return gap("it is not where the directory says");
    }
    const std::size_t name = at<std::uint16_t>(header + 26);
    const std::uint64_t data = header + kLocalSize + name + at<std::uint16_t>(header + 28);
    const bool same_name = header + kLocalSize + name <= file_.size() &&
                           as_text(file_.subspan(header + kLocalSize, name)) == entry.name;
    if (!same_name || at<std::uint16_t>(header + 8) != entry.method) {
      unsafe(findings_, "its own header and the directory disagree on it", entry.name, header);
    }
    if ((entry.flags & 1) != 0) return gap("it is encrypted");
    if (data > file_.size() || entry.packed_bytes > file_.size() - data) {
      unsafe(findings_, "an entry that is cut off", entry.name, entry.at);
      return gap("it is cut off");
    }
    if (entry.name.ends_with('/') && entry.bytes == 0) return;
    open(entry, file_.subspan(data, entry.packed_bytes), gap);
  }

  template <class Gap>
  void open(const ZipEntry& entry, Bytes packed, const Gap& gap) {
    if (entry.method == 0) {
      if (entry.bytes != entry.packed_bytes) {
        unsafe(findings_, "an entry that lies about its size", entry.name, entry.at);
      }
      return visit_(entry.name, packed);
    }
    if (entry.method != Z_DEFLATED) return gap("it is packed by a method that is not read");
    if (entry.bytes > kEntryBytesMax || unpacked_ + entry.bytes > kArchiveBytesMax) {
      return gap("it unpacks to more than is read");
    }
    const auto content = unpack(packed, Wrapper::kRaw, entry.bytes);
    if (!content || content->size() != entry.bytes) {
      unsafe(findings_, "an entry that is damaged or lies about its size", entry.name, entry.at);
      return gap("it cannot be unpacked");
    }
    unpacked_ += entry.bytes;
    visit_(entry.name, *content);
  }

  Bytes file_;
  Findings& findings_;
  const EntryVisitor& visit_;
  std::uint64_t count_ = 0, directory_at_ = 0, unpacked_ = 0;
};

/// A number in octal, or in base 256 where its first bit is set.
std::uint64_t tar_number(Bytes field) {
  std::uint64_t value = 0;
  if ((field[0] & 0x80) != 0) {
    for (std::size_t i = 1; i < field.size(); ++i) value = value << 8 | field[i];
    return value;
  }
  for (const std::uint8_t c : field) {
    if (c >= '0' && c <= '7') value = value * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

std::string tar_text(Bytes field) {
  const std::string_view text = as_text(field);
  return std::string(text.substr(0, text.find('\0')));
}

}  // namespace

void scan_zip(Bytes file, Findings& findings, const EntryVisitor& visit) {
  Zip(file, findings, visit).run();
}

void scan_tar(Bytes file, Findings& findings, const EntryVisitor& visit) {
  constexpr std::size_t kBlock = 512;
  std::string long_name;
  std::size_t entries = 0;
  for (std::size_t at = 0; file.size() - at >= kBlock;) {
    const Bytes header = file.subspan(at, kBlock);
    if (std::all_of(header.begin(), header.end(), [](std::uint8_t c) { return c == 0; })) return;
    if (++entries > kEntriesMax) return findings.gap("an archive of more entries than are read");
    const std::uint64_t size = tar_number(header.subspan(124, 12));
    const char type = static_cast<char>(header[156]);
    std::string name = tar_text(header.subspan(0, 100));
    const std::string prefix = tar_text(header.subspan(345, 155));
    if (as_text(header.subspan(257, 5)) != "ustar") {
      unsafe(findings, "an entry without a header", name, at);
      return findings.gap("an archive that is malformed");
    }
    if (!prefix.empty() && header[263] == '0') name = prefix + "/" + name;
    if (!long_name.empty()) name = std::exchange(long_name, {});
    const std::size_t data = at + kBlock;
    if (size > file.size() - data) {
      unsafe(findings, "an entry that is cut off", name, at);
      return findings.gap(evidence_of(name) + ": it is cut off");
    }
    const Bytes content = file.subspan(data, static_cast<std::size_t>(size));
    if (type == 'L' || type == 'x') {
      std::string text = tar_text(content.first(std::min<std::size_t>(content.size(), 1 << 16)));
      if (type == 'x') {
        const std::size_t path = text.find(" path=");
        text = path == text.npos ? "" : text.substr(path + 6, text.find('\n', path) - path - 6);
      }
      long_name = text;
    } else {
      if (leaves_folder(name)) unsafe(findings, "an entry whose name leaves the folder", name, at);
      if (type == '1' || type == '2') unsafe(findings, "an entry that is a link", name, at);
      if (type == '3' || type == '4' || type == '6')
        unsafe(findings, "an entry that is a device", name, at);
      if (type == '0' || type == '\0' || type == '7') visit(name, content);
    }
    at = data + (static_cast<std::size_t>(size) + kBlock - 1) / kBlock * kBlock;
    if (at > file.size()) return;
  }
}

void scan_gzip(Bytes file, Findings& findings, const EntryVisitor& visit) {
  const auto content = unpack(file, Wrapper::kGzip, kEntryBytesMax);
  if (!content) return findings.gap("it cannot be unpacked, or to more than is read");
  visit("(unpacked)", *content);
}

}  // namespace mlxguard::inspect
