// SPDX-License-Identifier: Apache-2.0
#include "log/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/os_error.h"
#include "log/layout.h"

namespace mlxguard::log {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<UniqueFd> open_file(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_open()) return os_error("open", path);
  return fd;
}

Result<bool> take(int fd, int operation) {
  while (::flock(fd, operation) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return os_error("flock");
  }
  return true;
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  return mlxguard::read_file(path, bytes_max, FileKind::kRegular, Links::kRefuse);
}

Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count =
        ::pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0) {
      if (errno == EINTR) continue;
      return os_error("read");
    }
    if (count == 0) {
      return make_error(ErrorCode::kTruncated, "expected " + std::to_string(size - done) +
                                                   " more bytes, found the end of the file");
    }
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

Result<void> write_at(int fd, std::uint64_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0) {
      if (errno == EINTR) continue;
      return os_error("write");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<std::uint64_t> size_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return os_error("fstat");
  if (!S_ISREG(status.st_mode)) {
    return make_error(ErrorCode::kIo, "expected a regular file, found something else");
  }
  return static_cast<std::uint64_t>(status.st_size);
}

Result<void> sync_folder(const std::string& path) {
  MLXGUARD_TRY_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return os_error("fsync", path);
  return {};
}

Result<void> make_folders(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return sync_folder(folder_of(path));
  if (errno == EEXIST) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return os_error("stat", path);
    if (S_ISDIR(status.st_mode)) return {};
    return os_error("mkdir", path, ENOTDIR);
  }
  if (errno != ENOENT) return os_error("mkdir", path);
  const std::string above = folder_of(path);
  if (above == path || above == ".") return os_error("mkdir", path, ENOENT);
  MLXGUARD_TRY(make_folders(above));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return os_error("mkdir", path);
  return sync_folder(above);
}

Result<void> replace_file(const std::string& path, std::string_view content) {
  FileBatch batch;
  MLXGUARD_TRY(batch.add(path, as_bytes(content)));
  return batch.commit();
}

FileBatch::~FileBatch() {
  for (const Pending& file : pending_) {
    ::unlink((file.path + layout::kTemporarySuffix).c_str());
  }
}

Result<void> FileBatch::add(const std::string& path, Bytes content) {
  const std::string temporary = path + layout::kTemporarySuffix;
  auto fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  if (!fd.has_value() && fd.error().code == ErrorCode::kNotFound) {
    MLXGUARD_TRY(make_folders(folder_of(path)));
    fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  }
  if (!fd.has_value()) return std::move(fd).error();
  pending_.push_back({*std::move(fd), path});
  const int raw = pending_.back().fd.get();
  if (auto written = write_at(raw, 0, content); !written.has_value()) {
    return std::move(written).error().about(path);
  }
  // Starts the disk on this file while the next one is written; commit() waits for all of them.
  (void)::sync_file_range(raw, 0, 0, SYNC_FILE_RANGE_WRITE);
  return {};
}

Result<void> FileBatch::sync_all() const {
  // Each fsync waits for the disk's cache to be emptied; the kernel joins those that wait together.
  constexpr std::size_t kThreadsMax = 8;
  constexpr std::size_t kFilesPerThread = 4;
  std::atomic<std::size_t> next{0};
  std::atomic<int> error{0};
  const auto sync = [&] {
    for (std::size_t i = next++; i < pending_.size(); i = next++) {
      if (::fsync(pending_[i].fd.get()) != 0) error = errno;
    }
  };
  std::vector<std::thread> helpers;
  const std::size_t threads = std::min(kThreadsMax, pending_.size() / kFilesPerThread);
  for (std::size_t i = 1; i < threads; ++i) helpers.emplace_back(sync);
  sync();
  for (std::thread& helper : helpers) helper.join();
  if (error != 0) return os_error("fsync", "tiles", error);
  return {};
}

Result<void> FileBatch::commit(Names names) {
  MLXGUARD_TRY(sync_all());
  std::set<std::string> folders;
  for (const Pending& file : pending_) {
    const std::string temporary = file.path + layout::kTemporarySuffix;
    if (::rename(temporary.c_str(), file.path.c_str()) != 0) return os_error("rename", file.path);
    folders.insert(folder_of(file.path));
    if (names == Names::kTogether) continue;
    MLXGUARD_TRY(sync_folder(folder_of(file.path)));
    folders.clear();
  }
  pending_.clear();
  for (const std::string& folder : folders) MLXGUARD_TRY(sync_folder(folder));
  return {};
}

Result<FileLock> FileLock::open(const std::string& path) {
  MLXGUARD_TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY | O_CREAT));
  MLXGUARD_TRY_ASSIGN(UniqueFd queue, open_file(path + layout::kQueueSuffix, O_RDONLY | O_CREAT));
  return FileLock(std::move(fd), std::move(queue));
}

Result<FileLock> FileLock::open_existing(const std::string& path) {
  MLXGUARD_TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY));
  MLXGUARD_TRY_ASSIGN(UniqueFd queue, open_file(path + layout::kQueueSuffix, O_RDONLY));
  return FileLock(std::move(fd), std::move(queue));
}

Result<bool> FileLock::acquire(Mode mode, Wait wait) {
  const int operation =
      (mode == Mode::kShared ? LOCK_SH : LOCK_EX) | (wait == Wait::kTry ? LOCK_NB : 0);
  if (wait == Wait::kTry) return take(fd_.get(), operation);
  MLXGUARD_TRY_ASSIGN([[maybe_unused]] const bool first, take(queue_.get(), LOCK_EX));
  const Result<bool> held = take(fd_.get(), operation);
  ::flock(queue_.get(), LOCK_UN);
  return held;
}

void FileLock::release() noexcept { ::flock(fd_.get(), LOCK_UN); }

Result<LockGuard> LockGuard::take(FileLock& lock, FileLock::Mode mode) {
  MLXGUARD_TRY_ASSIGN([[maybe_unused]] const bool held, lock.acquire(mode));
  return LockGuard(&lock);
}

}  // namespace mlxguard::log
