// SPDX-License-Identifier: Apache-2.0
#include "mirror/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/copy_step.h"
#include "base/limits.h"
#include "base/os_error.h"
#include "codec/text.h"
#include "log/files.h"
#include "mirror/file_record.h"
#include "mirror/page_entries.h"

namespace mlxguard::mirror {
namespace {

namespace fs = std::filesystem;

}  // namespace

struct Store::Lock {
  log::FileLock file;
};

Incoming::Incoming(UniqueFd fd, std::string path, std::uint64_t bytes_max)
    : fd_(std::move(fd)),
      path_(std::move(path)),
      bytes_max_(bytes_max),
      hasher_(std::make_unique<crypto::Hasher>(crypto::HashAlgorithm::kSha256)) {}

Incoming::~Incoming() {
  if (fd_.is_open()) ::unlink(path_.c_str());
}

Result<void> Incoming::write(Bytes bytes) {
  if (bytes.size() > bytes_max_ - size_) {
    return make_error(ErrorCode::kTooLarge,
                      "expected at most " + std::to_string(bytes_max_) + " bytes, found more");
  }
  hasher_->update(bytes);
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("write to the mirror's cache");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    size_ += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<void> Incoming::restart() {
  if (::ftruncate(fd_.get(), 0) != 0 || ::lseek(fd_.get(), 0, SEEK_SET) != 0) {
    return os_error("empty a file of the mirror's cache");
  }
  size_ = 0;
  digest_.clear();
  hasher_ = std::make_unique<crypto::Hasher>(crypto::HashAlgorithm::kSha256);
  return {};
}

const std::string& Incoming::digest() {
  if (digest_.empty()) digest_ = codec::to_hex(hasher_->finish());
  return digest_;
}

Store::Store(fs::path folder, crypto::Random& random, std::unique_ptr<Lock> lock)
    : folder_(std::move(folder)), random_(random), lock_(std::move(lock)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(fs::path mirror_folder, crypto::Random& random) {
  for (const char* name : {"files", "metadata", "pages", "records", "incoming"}) {
    MLXGUARD_TRY(log::make_folders((mirror_folder / name).string()));
  }
  MLXGUARD_TRY_ASSIGN(log::FileLock file,
                      log::FileLock::open((mirror_folder / "lock").string()));
  MLXGUARD_TRY_ASSIGN(const bool held, file.acquire(log::FileLock::Mode::kExclusive,
                                                    log::FileLock::Wait::kTry));
  if (!held) {
    return make_error(ErrorCode::kAlreadyExists, "another mirror works with this folder")
        .about(mirror_folder.string())
        .hinting("stop it, or choose another with --state DIR");
  }
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(mirror_folder / "incoming", problem)) {
    ::unlink(entry.path().c_str());
  }
  auto lock = std::make_unique<Lock>(Lock{std::move(file)});
  return std::unique_ptr<Store>(new Store(std::move(mirror_folder), random, std::move(lock)));
}

std::optional<ProjectPage> Store::page(std::string_view project) const {
  const fs::path path = folder_ / "pages" / (std::string(project) + ".json");
  const auto text = log::read_file(path.string(), limits::kMirrorPageBytesMax);
  if (!text) return std::nullopt;
  auto page = from_record(*text);
  if (!page || page->project != project) return std::nullopt;
  return *std::move(page);
}

Result<void> Store::put_page(const ProjectPage& page) {
  const fs::path path = folder_ / "pages" / (page.project + ".json");
  return log::replace_file(path.string(), to_record(page));
}

std::vector<std::string> Store::projects() const {
  std::vector<std::string> names;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(folder_ / "pages", problem)) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".json" && is_project_name(stem)) names.push_back(stem);
  }
  std::sort(names.begin(), names.end());
  return names;
}

fs::path Store::blob_path(BlobKind kind, const std::string& sha256) const {
  MLXGUARD_CHECK(is_sha256(sha256));
  return folder_ / (kind == BlobKind::kFile ? "files" : "metadata") / sha256.substr(0, 2) / sha256;
}

/// The digest is computed once for each state of the file in the life of this process.
Result<void> Store::check_bytes(int fd, const std::string& sha256) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return os_error("stat", sha256);
  const Checked now{status.st_ino, status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec,
                    status.st_size};
  {
    const std::lock_guard lock(mutex_);
    const auto found = checked_.find(sha256);
    if (found != checked_.end() && found->second == now) return {};
  }
  crypto::Hasher hasher(crypto::HashAlgorithm::kSha256);
  std::vector<std::uint8_t> buffer(kCopyStepBytes);
  for (off_t at = 0;;) {
    const ssize_t count = ::pread(fd, buffer.data(), buffer.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read", sha256);
    if (count == 0) break;
    hasher.update({buffer.data(), static_cast<std::size_t>(count)});
    at += count;
  }
  std::string found = codec::to_hex(hasher.finish());
  if (found != sha256) {
    return make_error(ErrorCode::kMirrorDigest, "a cached file is no longer what it was")
        .compared(sha256, std::move(found));
  }
  const std::lock_guard lock(mutex_);
  checked_[sha256] = now;
  return {};
}

Result<UniqueFd> Store::open_blob(BlobKind kind, const std::string& sha256) {
  const fs::path path = blob_path(kind, sha256);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_open()) return os_error("open", sha256);
  if (auto fine = check_bytes(fd.get(), sha256); !fine) {
    if (fine.error().code == ErrorCode::kMirrorDigest) ::unlink(path.c_str());
    return std::move(fine).error();
  }
  return fd;
}

Result<Incoming> Store::incoming(std::uint64_t bytes_max) {
  std::array<std::uint8_t, 16> name{};
  random_.fill(name);
  const std::string path = (folder_ / "incoming" / codec::to_hex(name)).string();
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_open()) return os_error("create a file in the mirror's cache");
  return Incoming(std::move(fd), path, bytes_max);
}

Result<void> Store::commit(BlobKind kind, Incoming incoming, const std::string& sha256,
                           std::optional<std::uint64_t> size_bytes) {
  if (size_bytes && *size_bytes != incoming.size_) {
    return make_error(ErrorCode::kTruncated, "a download of another size than the index says")
        .compared(std::to_string(*size_bytes), std::to_string(incoming.size_));
  }
  std::string found = incoming.digest();
  if (found != sha256) {
    return make_error(ErrorCode::kMirrorDigest,
                      "upstream's file has another digest than its index says")
        .compared(sha256, std::move(found));
  }
  // Not synced: a killed process loses nothing that is written, and after a loss of power the
  // digest, which is computed before a later process uses the file, tells.
  const fs::path path = blob_path(kind, sha256);
  MLXGUARD_TRY(log::make_folders(path.parent_path().string()));
  if (::rename(incoming.path_.c_str(), path.c_str()) != 0) return os_error("name", sha256);
  struct stat status {};
  if (::fstat(incoming.fd_.get(), &status) == 0) {
    const std::lock_guard lock(mutex_);
    checked_[sha256] = {status.st_ino,
                        status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec,
                        status.st_size};
  }
  incoming.fd_.reset();
  return {};
}

std::optional<FileRecord> Store::record(const std::string& id) const {
  const auto text = log::read_file((folder_ / "records" / (id + ".json")).string(),
                                      limits::kMirrorRecordBytesMax);
  if (!text) return std::nullopt;
  auto record = file_record_from(*text);
  if (!record) return std::nullopt;
  return *std::move(record);
}

Result<void> Store::put_record(const FileRecord& record) {
  ProjectFile file;
  file.sha256 = record.sha256;
  file.filename = record.filename;
  const std::string id = record_id(record.project, file);
  return log::replace_file((folder_ / "records" / (id + ".json")).string(), to_json(record));
}

}  // namespace mlxguard::mirror
