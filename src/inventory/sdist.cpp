// SPDX-License-Identifier: Apache-2.0
// A source distribution (PEP 625; older ones as .zip), read in one pass without unpacking it.
// Input: an archive chosen by an attacker. Its dependencies are what PKG-INFO says, and code of its
// own that an installer would run is observed: what that code brings in, nobody can tell.
#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include "base/limits.h"
#include "base/os_error.h"
#include "inventory/builder.h"
#include "inventory/distribution.h"
#include "inventory/files.h"
#include "inventory/identity.h"
#include "inventory/read.h"
#include "inventory/requirement_graph.h"

namespace mlxguard::inventory {
namespace {

constexpr std::size_t kPieceBytes = 1u << 18;
constexpr std::uint64_t kRatioFloorBytes = 64u << 20;  // small archives may shrink a lot
constexpr std::uint64_t kHeldFileBytesMax = 4u << 20;  // PKG-INFO, pyproject.toml

Error malformed(std::string message) { return make_error(ErrorCode::kWheel, std::move(message)); }

struct CloseArchive {
  void operator()(archive* one) const { archive_read_free(one); }
};
using Archive = std::unique_ptr<archive, CloseArchive>;

/// Reads a descriptor by position, so that its owner's position stays where it is.
struct Source {
  int fd = -1;
  off_t at = 0;
  std::array<char, kPieceBytes> piece{};
};

la_ssize_t read_source(archive* from, void* state, const void** out) {
  auto& source = *static_cast<Source*>(state);
  ssize_t got = -1;
  do {
    got = ::pread(source.fd, source.piece.data(), source.piece.size(), source.at);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    archive_set_error(from, errno, "read");
    return -1;
  }
  source.at += got;
  *out = source.piece.data();
  return got;
}

Result<Archive> open_archive(Source& source, std::string_view file_name) {
  Archive reader(archive_read_new());
  if (reader == nullptr) return make_error(ErrorCode::kInternal, "no memory for an archive");
  // Exactly what an index may serve: nothing else is tried on hostile bytes.
  if (file_name.ends_with(".zip")) {
    archive_read_support_format_zip_seekable(reader.get());
    archive_read_support_format_zip_streamable(reader.get());
  } else {
    archive_read_support_filter_gzip(reader.get());
    archive_read_support_format_tar(reader.get());
  }
  if (archive_read_open(reader.get(), &source, nullptr, read_source, nullptr) != ARCHIVE_OK) {
    return malformed("the archive cannot be opened");
  }
  return reader;
}

class SdistReader {
 public:
  SdistReader(std::string file_name, std::uint64_t packed_bytes)
      : file_name_(std::move(file_name)), packed_bytes_(packed_bytes) {}

  Result<Inventory> read(archive* from) {
    for (;;) {
      archive_entry* entry = nullptr;
      const int status = archive_read_next_header(from, &entry);
      if (status == ARCHIVE_EOF) break;
      if (status != ARCHIVE_OK) return malformed("the archive is malformed");
      MLXGUARD_TRY(take(from, entry));
    }
    return conclude();
  }

 private:
  /// Errors: a name or a link that leads out, a device, two entries of one name.
  Result<void> check_entry(archive_entry* entry, const std::string& path) {
    if (path.empty()) return malformed("an entry's name leads out of the archive");
    if (++entries_ > limits::kWheelEntriesMax) {
      return make_error(ErrorCode::kTooLarge, "more entries than any real package has");
    }
    const auto kind = archive_entry_filetype(entry);
    const char* hard = archive_entry_hardlink(entry);
    const char* soft = kind == AE_IFLNK ? archive_entry_symlink(entry) : nullptr;
    if (hard != nullptr && join_inside("", hard).empty()) {
      return malformed("a link that leads out of the archive").about(path);
    }
    if (soft != nullptr && join_inside(folder_name(path), soft).empty()) {
      return malformed("a link that leads out of the archive").about(path);
    }
    if (hard == nullptr && kind != AE_IFREG && kind != AE_IFDIR && kind != AE_IFLNK) {
      return malformed("an entry that is neither file, folder nor link").about(path);
    }
    return {};
  }

  Result<void> take(archive* from, archive_entry* entry) {
    const char* name = archive_entry_pathname(entry);
    std::string path = name == nullptr ? std::string() : join_inside("", name);
    if (name != nullptr && path.empty() && archive_entry_filetype(entry) == AE_IFDIR &&
        (std::string_view(name) == "./" || std::string_view(name) == ".")) {
      return {};
    }
    MLXGUARD_TRY(check_entry(entry, path));
    const auto slash = path.find('/');
    const std::string top = path.substr(0, slash);
    if (top_.empty()) top_ = top;
    if (top != top_)
      return malformed("expected one folder at the top, found two").compared(top_, top);
    const std::string inner = slash == std::string::npos ? std::string() : path.substr(slash + 1);
    const bool held = inner == "PKG-INFO" || inner == "pyproject.toml";
    MLXGUARD_TRY_ASSIGN(std::string text, read_data(from, held));
    if (inner == "PKG-INFO") {
      if (info_) return malformed("expected one PKG-INFO, found two");
      info_ = std::move(text);
    } else if (inner == "pyproject.toml") {
      if (project_) return malformed("expected one pyproject.toml, found two");
      project_ = std::move(text);
    } else if (inner == "setup.py") {
      hook("setup.py", "an installer runs it");
    }
    return {};
  }

  Result<std::string> read_data(archive* from, bool held) {
    std::string text;
    for (;;) {
      const void* data = nullptr;
      std::size_t size = 0;
      la_int64_t offset = 0;
      const int status = archive_read_data_block(from, &data, &size, &offset);
      if (status == ARCHIVE_EOF) return text;
      if (status != ARCHIVE_OK) return malformed("the archive is malformed");
      unpacked_bytes_ += size;
      const bool bomb = unpacked_bytes_ > kRatioFloorBytes &&
                        unpacked_bytes_ / limits::kWheelRatioMax > packed_bytes_;
      if (bomb || unpacked_bytes_ > limits::kWheelBytesMax) {
        return make_error(ErrorCode::kTooLarge, "the archive unpacks to more than any real one");
      }
      if (!held) continue;
      if (text.size() + size > kHeldFileBytesMax) {
        return make_error(ErrorCode::kTooLarge, "metadata longer than any real one");
      }
      text.append(static_cast<const char*>(data), size);
    }
  }

  void hook(std::string where, std::string why) {
    hooks_.emplace_back(std::move(where), std::move(why));
  }

  /// NAME-VERSION in the file's name must be what PKG-INFO says: an index trusts the file name.
  Result<void> check_name(const Metadata& metadata) const {
    std::string stem = file_name_;
    stem.resize(stem.size() - (stem.ends_with(".zip") ? 4 : 7));
    const auto dash = stem.rfind('-');
    if (dash == std::string::npos) return malformed("expected a file name of NAME-VERSION");
    const auto named = read_purl(pypi_purl(stem.substr(0, dash), ""));
    const auto wanted = read_purl(pypi_purl(metadata.name, ""));
    if (!named || !wanted || named->name != wanted->name) {
      return malformed("the file name is of another package than PKG-INFO")
          .compared(stem.substr(0, dash), metadata.name);
    }
    if (!same_version(stem.substr(dash + 1), metadata.version)) {
      return malformed("the file name is of another version than PKG-INFO")
          .compared(stem.substr(dash + 1), metadata.version);
    }
    return {};
  }

  Result<Inventory> conclude() {
    if (!info_) return malformed("expected a PKG-INFO, found none");
    auto metadata = parse_metadata(*info_);
    if (!metadata) return malformed("PKG-INFO cannot be read: " + metadata.error().message);
    MLXGUARD_TRY(check_name(*metadata));
    // A back end inside the archive is the archive's own code.
    if (project_ && project_->find("backend-path") != std::string::npos) {
      hook("pyproject.toml", "its build back end is code of the archive (backend-path)");
    }
    Builder builder;
    Distribution distribution;
    distribution.folder = top_;
    distribution.metadata = *std::move(metadata);
    MLXGUARD_TRY_ASSIGN(const PurlParts parts, read_purl(pypi_purl(distribution.metadata.name,
                                                                   distribution.metadata.version)));
    distribution.name = parts.name;
    distribution.purl = parts.canonical;
    static_cast<void>(add_distribution(distribution, builder));
    builder.component(distribution.purl).direct = true;
    for (const auto& [where, why] : hooks_) {
      builder.observe(Observation::Kind::kInstallHook, distribution.purl, where,
                      make_error(ErrorCode::kDepsUnknown, why));
    }
    add_wanted(distribution, builder);
    return std::move(builder).build(file_name_, "sdist");
  }

  std::string file_name_;
  std::uint64_t packed_bytes_;
  std::uint64_t unpacked_bytes_ = 0;
  std::size_t entries_ = 0;
  std::string top_;
  std::optional<std::string> info_, project_;
  std::vector<std::pair<std::string, std::string>> hooks_;
};

}  // namespace

Result<Inventory> read_sdist(int fd, std::string_view file_name, const ReadOptions&) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return os_error("stat", std::string(file_name));
  const auto source = std::make_unique<Source>();
  source->fd = fd;
  MLXGUARD_TRY_ASSIGN(const Archive opened, open_archive(*source, file_name));
  SdistReader reader(std::string(base_name(file_name)), static_cast<std::uint64_t>(status.st_size));
  return reader.read(opened.get());
}

}  // namespace mlxguard::inventory
