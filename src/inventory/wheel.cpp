// SPDX-License-Identifier: Apache-2.0
// A wheel, read without unpacking it: one pass over its entries, in memory, each bounded.
#include <fcntl.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "codec/text.h"
#include "inventory/distribution.h"
#include "inventory/files.h"
#include "inventory/identity.h"
#include "inventory/native_parts.h"
#include "inventory/read.h"
#include "inventory/requirement_graph.h"
#include "inventory/vendored.h"
#include "inventory/zip_file.h"

namespace mlxguard::inventory {
namespace {

using Kind = Observation::Kind;

constexpr std::size_t kHeadBytes = 16;
constexpr std::uint64_t kHeldBytesMax = 1ull << 30;

Error malformed(std::string message) { return make_error(ErrorCode::kWheel, std::move(message)); }

/// name-version(-build)?-python-abi-platform.whl
struct WheelName {
  std::string name, version;
};
Result<WheelName> split_wheel_name(std::string_view file_name) {
  if (!file_name.ends_with(".whl")) return malformed("expected a file name that ends in .whl");
  file_name.remove_suffix(4);
  std::vector<std::string> parts(1);
  for (const char c : file_name) {
    if (c == '-')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  if ((parts.size() != 5 && parts.size() != 6) ||
      std::any_of(parts.begin(), parts.end(),
                  [](const std::string& part) { return part.empty(); })) {
    return malformed("expected name-version-python-abi-platform.whl");
  }
  return WheelName{parts[0], parts[1]};
}

class WheelReader {
 public:
  WheelReader(ZipFile zip, std::string file_name, const ReadOptions& options)
      : zip_(std::move(zip)), file_name_(std::move(file_name)), options_(options) {}

  Result<Inventory> read() {
    MLXGUARD_TRY_ASSIGN(const WheelName name, split_wheel_name(file_name_));
    MLXGUARD_TRY_ASSIGN(const std::string info, find_info());
    std::vector<std::string> sboms;
    for (const ZipEntry& entry : zip_.entries()) {
      if (entry.name.starts_with(info + "/sboms/") && !entry.name.ends_with('/'))
        sboms.push_back(entry.name);
    }
    const FileReader reader = [&](const std::string& path,
                                  std::uint64_t bytes_max) -> Result<std::string> {
      const ZipEntry* entry = zip_.find(path);
      if (entry == nullptr) return make_error(ErrorCode::kNotFound, "no such entry");
      return zip_.read(*entry, bytes_max);
    };
    auto read = read_distribution(info, reader, sboms, builder_);
    if (!read) {
      return malformed("the wheel's METADATA cannot be read: " + read.error().message);
    }
    distribution_ = *std::move(read);
    MLXGUARD_TRY(check_name(name));
    const std::vector<std::string> embedded = add_distribution(distribution_, builder_);
    builder_.component(distribution_.purl).direct = true;
    MLXGUARD_TRY(read_entries());
    add_copies(reader);
    if (options_.native == NativeParts::kRead) {
      UnknownSystem system;
      add_native_parts(builder_,
                       {{distribution_.purl, distribution_.name, distribution_.metadata.version,
                         std::set<std::string>(embedded.begin(), embedded.end())}},
                       natives_, system);
    }
    add_wanted(distribution_, builder_);
    return std::move(builder_).build(file_name_, "wheel");
  }

 private:
  Result<std::string> find_info() const {
    std::string info;
    for (const ZipEntry& entry : zip_.entries()) {
      const auto slash = entry.name.find('/');
      const std::string top = entry.name.substr(0, slash);
      if (slash == std::string::npos || !top.ends_with(".dist-info") || top == info) continue;
      if (!info.empty()) return malformed("expected one .dist-info folder, found two");
      info = top;
    }
    if (info.empty()) return malformed("expected a .dist-info folder, found none");
    return info;
  }

  void add_copies(const FileReader& reader) {
    std::vector<std::string> files;
    for (const ZipEntry& entry : zip_.entries()) {
      if (!entry.name.ends_with('/')) files.push_back(entry.name);
    }
    std::sort(files.begin(), files.end());
    add_vendored(
        files, [&](const std::string&) { return distribution_.purl; }, reader, builder_);
  }

  /// File name, folder and METADATA must speak of one package: an index trusts the file name.
  Result<void> check_name(const WheelName& name) const {
    const auto parts = read_purl(pypi_purl(name.name, ""));
    if (!parts || parts->name != distribution_.name) {
      return malformed("the file name is of another package than METADATA")
          .compared(name.name, distribution_.metadata.name);
    }
    std::string version = distribution_.metadata.version;
    std::replace(version.begin(), version.end(), '-', '_');
    if (!same_version(name.version, version)) {
      return malformed("the file name is of another version than METADATA")
          .compared(name.version, distribution_.metadata.version);
    }
    return {};
  }

  Result<void> read_entries() {
    std::map<std::string_view, const RecordRow*> rows;
    if (distribution_.record) {
      for (const RecordRow& row : *distribution_.record) rows.emplace(row.path, &row);
    }
    std::uint64_t total = 0, done = 0;
    for (const ZipEntry& entry : zip_.entries()) total += entry.bytes;
    for (const ZipEntry& entry : zip_.entries()) {
      if (entry.name.ends_with('/')) continue;
      const auto row = rows.find(entry.name);
      const RecordRow* listed = row == rows.end() ? nullptr : row->second;
      if (listed != nullptr) rows.erase(row);
      MLXGUARD_TRY(read_entry(entry, listed));
      if (options_.progress) options_.progress(done += entry.bytes, total);
    }
    for (const auto& [path, row] : rows) {
      observe(Kind::kRecordMissing, std::string(path), "the file is not in the wheel");
    }
    return {};
  }

  void observe(Kind kind, const std::string& path, std::string message) {
    builder_.observe(kind, distribution_.purl, path,
                     make_error(ErrorCode::kDepsRecord, std::move(message)));
  }

  /// One pass: hashed, and held only when there is more to look at.
  Result<void> read_entry(const ZipEntry& entry, const RecordRow* row) {
    const std::string own = distribution_.folder + "/RECORD";
    const bool is_record = entry.name == own || entry.name.starts_with(own + ".");
    std::optional<FileHash> wanted;
    if (row == nullptr && distribution_.record && !is_record) {
      observe(Kind::kUnrecorded, entry.name, "a file that RECORD does not list");
    } else if (row != nullptr && !is_record) {
      auto hash = parse_file_hash(row->hash);
      if (hash)
        wanted = *std::move(hash);
      else
        observe(Kind::kRecordMissing, entry.name, "RECORD has no usable hash of this file");
    }
    const bool path_file = entry.name.ends_with(".pth");
    crypto::Hasher hasher(wanted ? wanted->algorithm : crypto::HashAlgorithm::kSha256);
    std::string head, held;
    bool hold = path_file, decided = path_file, too_large = false;
    MLXGUARD_TRY(zip_.read(entry, [&](Bytes piece) {
      hasher.update(piece);
      if (!decided) {
        head.append(as_text(piece.first(std::min(piece.size(), kHeadBytes))));
        decided = true;
        hold = options_.native == NativeParts::kRead && is_native(as_bytes(head));
      }
      if (hold && held.size() + piece.size() > kHeldBytesMax) {
        too_large = true;
        hold = false;
      }
      if (hold) held.append(as_text(piece));
    }));
    const std::vector<std::uint8_t> digest = hasher.finish();
    if (wanted && options_.records == RecordCheck::kFiles && digest != wanted->digest) {
      builder_.observe(Kind::kRecordMismatch, distribution_.purl, entry.name,
                       make_error(ErrorCode::kDepsRecord, "the file is not what RECORD says")
                           .compared(codec::to_hex(wanted->digest), codec::to_hex(digest)));
    }
    look_at(entry, held, hold, too_large);
    return {};
  }

  void look_at(const ZipEntry& entry, const std::string& held, bool hold, bool too_large) {
    const std::string_view name = base_name(entry.name);
    if (too_large) {
      builder_.observe(Kind::kUnreadable, distribution_.purl, entry.name,
                       make_error(ErrorCode::kTooLarge, "the file is too large to be looked into"));
    }
    if (name.ends_with(".pth")) observe_path_file(held, distribution_.purl, entry.name, builder_);
    const bool at_top =
        entry.name.find('/') == std::string::npos || entry.name.find(".data/") != std::string::npos;
    if (at_top && (name == "sitecustomize.py" || name == "usercustomize.py")) {
      observe(Kind::kInstallHook, entry.name, "a module that every start of Python runs");
    }
    if (name.ends_with(".dll") || name.ends_with(".pyd")) {
      builder_.observe(Kind::kUnreadable, distribution_.purl, entry.name,
                       make_error(ErrorCode::kElf, "Windows libraries are not looked into"));
    }
    if (!hold || name.ends_with(".pth")) return;
    auto slices = summarize(as_bytes(held));
    if (!slices) {
      builder_.observe(Kind::kUnreadable, distribution_.purl, entry.name, slices.error());
      return;
    }
    const crypto::Sha256Digest digest = crypto::sha256(as_bytes(held));
    natives_.push_back({entry.name, codec::to_hex(digest), 0, *std::move(slices)});
  }

  ZipFile zip_;
  std::string file_name_;
  const ReadOptions& options_;
  Builder builder_;
  Distribution distribution_;
  std::vector<NativeEntry> natives_;
};

}  // namespace

Result<Inventory> read_wheel(int fd, std::string_view file_name, const ReadOptions& options) {
  MLXGUARD_TRY_ASSIGN(ZipFile zip, ZipFile::open(fd));
  return WheelReader(std::move(zip), std::string(base_name(file_name)), options).read();
}

Result<Inventory> read_wheel(const std::filesystem::path& file, const ReadOptions& options) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) return os_error("open", file.string()).about(file.string());
  return read_wheel(fd.get(), file.filename().string(), options);
}

}  // namespace mlxguard::inventory
