// SPDX-License-Identifier: Apache-2.0
#include "inventory/zip_file.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/limits.h"
#include "base/os_error.h"
#include "codec/text.h"
#include "inventory/files.h"
#include "inventory/zip_names.h"

namespace mlxguard::inventory {
namespace {

constexpr std::size_t kPieceBytes = 1u << 18;
constexpr std::size_t kNameBytesMax = 4096;
constexpr std::uint64_t kRatioFloorBytes = 16u << 20;  // small archives may shrink a lot
constexpr std::uint32_t kModeFormat = 0170000, kModeLink = 0120000;

/// Reads a descriptor by position, so that its owner's position stays where it is.
struct Source {
  int fd = -1;
  std::uint64_t size = 0;
  std::uint64_t at = 0;
  zip_error_t error{};
};

zip_int64_t read_source(Source& source, void* data, zip_uint64_t length) {
  const ssize_t got = ::pread(source.fd, data, length, static_cast<off_t>(source.at));
  if (got < 0) {
    zip_error_set(&source.error, ZIP_ER_READ, errno);
    return -1;
  }
  source.at += static_cast<std::uint64_t>(got);
  return got;
}

zip_int64_t source_command(void* state, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  Source& source = *static_cast<Source*>(state);
  switch (command) {
    case ZIP_SOURCE_OPEN:
      source.at = 0;
      return 0;
    case ZIP_SOURCE_READ:
      return read_source(source, data, length);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
      return 0;
    case ZIP_SOURCE_STAT: {
      zip_stat_t* stat = static_cast<zip_stat_t*>(data);
      zip_stat_init(stat);
      stat->valid = ZIP_STAT_SIZE;
      stat->size = source.size;
      return sizeof(zip_stat_t);
    }
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(&source.error, data, length);
    case ZIP_SOURCE_SEEK: {
      const zip_int64_t to =
          zip_source_seek_compute_offset(source.at, source.size, data, length, &source.error);
      if (to < 0) return -1;
      source.at = static_cast<std::uint64_t>(to);
      return 0;
    }
    case ZIP_SOURCE_TELL:
      return static_cast<zip_int64_t>(source.at);
    case ZIP_SOURCE_SUPPORTS:
      return zip_source_make_command_bitmap(
          ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
          ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
    default:
      zip_error_set(&source.error, ZIP_ER_OPNOTSUPP, 0);
      return -1;
  }
}

Error malformed(std::string message, std::string_view name = {}) {
  return make_error(ErrorCode::kWheel, std::move(message)).about(std::string(name));
}

std::string words(zip_error_t* error) {
  std::string text = zip_error_strerror(error);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return text;
}

/// A name that is the same file wherever the archive is unpacked.
Result<void> check_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || !codec::is_utf8(name)) {
    return malformed("an entry's name is empty, too long or not valid UTF-8");
  }
  const std::string_view bare = name.ends_with('/') ? name.substr(0, name.size() - 1) : name;
  if (bare.empty() || join_inside("", bare) != bare) {
    return malformed("an entry's path leads out of the archive", name);
  }
  return {};
}

}  // namespace

struct ZipFile::Impl {
  Source source;
  Bytes memory;  ///< where there is no descriptor
  zip_t* archive = nullptr;
  std::vector<ZipEntry> entries;
  std::unordered_map<std::string_view, std::size_t> by_name;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (archive != nullptr) zip_discard(archive);
    zip_error_fini(&source.error);
  }

  Result<void> open(zip_source_t* from, zip_error_t* error) {
    if (from == nullptr) return malformed("cannot read the archive: " + words(error));
    constexpr std::uint64_t kSmallestBytes = 22;  // the library takes no bytes for an empty archive
    if (source.size < kSmallestBytes) {
      zip_source_free(from);
      return malformed("expected a zip archive, found too few bytes");
    }
    archive = zip_open_from_source(from, ZIP_RDONLY | ZIP_CHECKCONS, error);
    if (archive == nullptr) {
      zip_source_free(from);
      return malformed("expected a zip archive: " + words(error));
    }
    return read_directory();
  }

  Result<void> read_directory() {
    const zip_int64_t count = zip_get_num_entries(archive, 0);
    if (count < 0 || static_cast<std::size_t>(count) > limits::kWheelEntriesMax) {
      return make_error(ErrorCode::kTooLarge, "the archive has more entries than allowed");
    }
    entries.reserve(static_cast<std::size_t>(count));
    std::uint64_t total = 0, packed = 0;
    for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(count); ++i) {
      MLXGUARD_TRY_ASSIGN(ZipEntry entry, read_entry(i));
      total += entry.bytes;
      packed += entry.packed_bytes;
      if (entry.bytes > limits::kWheelBytesMax || total > limits::kWheelBytesMax) {
        return make_error(ErrorCode::kTooLarge, "the archive unpacks to more than allowed");
      }
      if (packed > source.size) return malformed("the archive's entries overlap");
      entries.push_back(std::move(entry));
    }
    if (total > kRatioFloorBytes &&
        total / limits::kWheelRatioMax > std::max<std::uint64_t>(packed, 1)) {
      return make_error(ErrorCode::kTooLarge, "the archive unpacks to more than " +
                                                  std::to_string(limits::kWheelRatioMax) +
                                                  " times its size");
    }
    MLXGUARD_TRY(check_spaces());
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!by_name.emplace(entries[i].name, i).second) {
        return malformed("two entries have one name", entries[i].name);
      }
    }
    return {};
  }

  /// A space may stand for a byte that the library does not show.
  Result<void> check_spaces() const {
    std::vector<std::string> names;
    bool spaces = false;
    for (const ZipEntry& entry : entries) {
      names.push_back(entry.name);
      spaces = spaces || entry.name.find(' ') != std::string::npos;
    }
    if (!spaces) return {};
    const ReadAt read = [&](std::uint64_t at, std::size_t bytes) {
      if (source.fd < 0) return std::string(as_text(memory.subspan(at)).substr(0, bytes));
      std::string piece(bytes, '\0');
      const ssize_t got = ::pread(source.fd, piece.data(), bytes, static_cast<off_t>(at));
      piece.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
      return piece;
    };
    return check_zip_names(read, source.size, names);
  }

  Result<ZipEntry> read_entry(zip_uint64_t index) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat_index(archive, index, ZIP_FL_ENC_RAW, &stat) != 0) {
      return malformed("an entry cannot be read: " + words(zip_get_error(archive)));
    }
    constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if ((stat.valid & kNeeded) != kNeeded) return malformed("an entry without name or size");
    MLXGUARD_TRY(check_name(stat.name));
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE) {
      return malformed("an entry is encrypted", stat.name);
    }
    zip_uint8_t system = 0;
    zip_uint32_t attributes = 0;
    if (zip_file_get_external_attributes(archive, index, 0, &system, &attributes) == 0 &&
        system == ZIP_OPSYS_UNIX && ((attributes >> 16) & kModeFormat) == kModeLink) {
      return malformed("an entry is a symbolic link", stat.name);
    }
    return ZipEntry{stat.name, index, stat.size, stat.comp_size};
  }
};

ZipFile::ZipFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ZipFile::ZipFile(ZipFile&&) noexcept = default;
ZipFile& ZipFile::operator=(ZipFile&&) noexcept = default;
ZipFile::~ZipFile() = default;

Result<ZipFile> ZipFile::open(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return os_error("stat", "the archive");
  auto impl = std::make_unique<Impl>();
  impl->source.fd = fd;
  impl->source.size = static_cast<std::uint64_t>(status.st_size);
  zip_error_t error;
  zip_error_init(&error);
  auto opened =
      impl->open(zip_source_function_create(source_command, &impl->source, &error), &error);
  zip_error_fini(&error);
  MLXGUARD_TRY(opened);
  return ZipFile(std::move(impl));
}

Result<ZipFile> ZipFile::open(Bytes bytes) {
  auto impl = std::make_unique<Impl>();
  impl->source.size = bytes.size();
  impl->memory = bytes;
  zip_error_t error;
  zip_error_init(&error);
  auto opened = impl->open(zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error), &error);
  zip_error_fini(&error);
  MLXGUARD_TRY(opened);
  return ZipFile(std::move(impl));
}

const std::vector<ZipEntry>& ZipFile::entries() const { return impl_->entries; }

const ZipEntry* ZipFile::find(std::string_view name) const {
  const auto found = impl_->by_name.find(name);
  return found == impl_->by_name.end() ? nullptr : &impl_->entries[found->second];
}

Result<void> ZipFile::read(const ZipEntry& entry,
                           const std::function<void(Bytes piece)>& take) const {
  zip_file_t* file = zip_fopen_index(impl_->archive, entry.index, 0);
  if (file == nullptr) {
    return malformed("an entry cannot be unpacked: " + words(zip_get_error(impl_->archive)),
                     entry.name);
  }
  std::vector<std::uint8_t> piece(kPieceBytes);
  std::uint64_t done = 0;
  Result<void> outcome;
  for (;;) {
    const zip_int64_t got = zip_fread(file, piece.data(), piece.size());
    if (got < 0) {
      outcome = malformed("an entry is damaged: " + words(zip_file_get_error(file)), entry.name);
      break;
    }
    if (got == 0) break;
    done += static_cast<std::uint64_t>(got);
    if (done > entry.bytes) break;
    take(Bytes(piece.data(), static_cast<std::size_t>(got)));
  }
  zip_fclose(file);
  MLXGUARD_TRY(outcome);
  if (done != entry.bytes) {
    return malformed("an entry unpacks to another size than the archive says", entry.name);
  }
  return {};
}

Result<std::string> ZipFile::read(const ZipEntry& entry, std::uint64_t bytes_max) const {
  if (entry.bytes > bytes_max) {
    return make_error(ErrorCode::kTooLarge, "expected at most " + std::to_string(bytes_max) +
                                                " bytes, found " + std::to_string(entry.bytes))
        .about(entry.name);
  }
  std::string text;
  // What the directory says is not believed before it is seen: room is made as bytes come.
  MLXGUARD_TRY(read(entry, [&](Bytes piece) { text.append(as_text(piece)); }));
  return text;
}

}  // namespace mlxguard::inventory
