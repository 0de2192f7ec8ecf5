// SPDX-License-Identifier: Apache-2.0
// Files of the event log: reads with a bound, writes that are durable when they return, locks
// between processes. Trusted: the log's folder belongs to this user (0700), names come from
// layout.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard::log {

/// Whole file. Errors: kNotFound, kTooLarge beyond `bytes_max`, as os_error otherwise.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t bytes_max);
/// `size` bytes at `offset`; kTruncated if the file ends before.
[[nodiscard]] Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t size);
[[nodiscard]] Result<void> write_at(int fd, std::uint64_t offset, Bytes bytes);
[[nodiscard]] Result<std::uint64_t> size_of(int fd);
[[nodiscard]] Result<void> sync_folder(const std::string& path);
/// Makes the folder (0700) and what is missing above it; each new name is durable on return.
[[nodiscard]] Result<void> make_folders(const std::string& path);
/// Replaces a file in one step: readers see the old content or the new, never a part; durable on
/// return. After an error the old content stands.
[[nodiscard]] Result<void> replace_file(const std::string& path, std::string_view content);

/// Many files, made durable together: written first, synced second, named last, folders at the end.
/// What was not committed leaves no name behind.
class FileBatch {
 public:
  FileBatch() = default;
  FileBatch(const FileBatch&) = delete;
  FileBatch& operator=(const FileBatch&) = delete;
  ~FileBatch();

  [[nodiscard]] Result<void> add(const std::string& path, Bytes content);
  /// Whether one file may have its name while an earlier one has not.
  enum class Names : std::uint8_t { kTogether, kOneAfterAnother };
  [[nodiscard]] Result<void> commit(Names names = Names::kTogether);

 private:
  [[nodiscard]] Result<void> sync_all() const;
  struct Pending {
    UniqueFd fd;
    std::string path;
  };
  std::vector<Pending> pending_;
};

/// A lock file. flock(2): held by the open file, so it ends with the process that held it. flock
/// alone lets a busy process take its lock again before a waiting one wakes up: who wants the lock
/// first stands in a queue of one, a second lock file that is held only while waiting.
class FileLock {
 public:
  enum class Mode : std::uint8_t { kShared, kExclusive };
  enum class Wait : std::uint8_t { kBlock, kTry };

  /// Creates the file if it is missing.
  [[nodiscard]] static Result<FileLock> open(const std::string& path);
  /// For readers that may not write: kNotFound if it is missing.
  [[nodiscard]] static Result<FileLock> open_existing(const std::string& path);
  /// True if held; false only if `wait` is kTry and another process holds it.
  [[nodiscard]] Result<bool> acquire(Mode mode, Wait wait = Wait::kBlock);
  void release() noexcept;

 private:
  FileLock(UniqueFd fd, UniqueFd queue) : fd_(std::move(fd)), queue_(std::move(queue)) {}
  UniqueFd fd_;
  UniqueFd queue_;
};

/// Lets a lock go at the end of a scope.
class LockGuard {
 public:
  [[nodiscard]] static Result<LockGuard> take(FileLock& lock, FileLock::Mode mode);
  LockGuard(LockGuard&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
  LockGuard& operator=(LockGuard&&) = delete;
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;
  ~LockGuard() {
    if (lock_ != nullptr) lock_->release();
  }

 private:
  explicit LockGuard(FileLock* lock) : lock_(lock) {}
  FileLock* lock_;
};

}  // namespace mlxguard::log
