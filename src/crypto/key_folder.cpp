// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_folder.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/os_error.h"

namespace mlxguard::crypto {
namespace {

// One line a file: 'N' (never over another) or 'R' (may replace), a space, the name.
constexpr const char* kJournal = ".commit";
constexpr const char* kJournalUnfinished = ".commit.new";
constexpr char kNew = 'N';
constexpr char kReplace = 'R';

std::string unfinished(std::string_view name) { return "." + std::string(name) + ".new"; }

Error unsafe(const std::filesystem::path& file, std::string what) {
  return make_error(ErrorCode::kKeyPermissions, "refusing a key file that is " + std::move(what))
      .about(file.string())
      .hinting("make it yours alone: chmod 600 " + file.filename().string());
}

Error exists(const std::string& name) {
  return make_error(ErrorCode::kKeyExists, "a key of this name exists").about(name);
}

Result<void> write_and_sync(int fd, Bytes bytes, const std::string& name) {
  MLXGUARD_TRY(write_all(fd, as_text(bytes), name));
  if (::fsync(fd) != 0) return os_error("write", name);
  return {};
}

/// Names that commit() may have been given: a key's name and a suffix.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= NAME_MAX - 5 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return is_ascii_alphanumeric(c) || c == '.' || c == '_' || c == '-';
         });
}

}  // namespace

Result<Secret> read_key_file(const std::filesystem::path& file, KeyFileReaders readers,
                             std::size_t bytes_max) {
  const UniqueFd fd(
      ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd.is_open()) {
    if (errno == ELOOP) return unsafe(file, "a symbolic link");
    return os_error("open", file.string());
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", file.string());
  if (!S_ISREG(status.st_mode)) return unsafe(file, "not a regular file");
  if (status.st_uid != ::geteuid() && status.st_uid != 0)
    return unsafe(file, "owned by someone else");
  if (readers == KeyFileReaders::kOwnerOnly && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return unsafe(file, "readable or writable by group or others");
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return unsafe(file, "writable by group or others");
  if (status.st_size > static_cast<off_t>(bytes_max)) {
    return make_error(ErrorCode::kTooLarge, "larger than such a file may be").about(file.string());
  }
  // One byte more than it has: a file that grows meanwhile is noticed.
  Secret text(static_cast<std::size_t>(status.st_size) + 1);
  std::size_t used = 0;
  while (used < text.size()) {
    const ssize_t count = ::read(fd.get(), text.writable().data() + used, text.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read", file.string());
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
  }
  if (used == text.size()) {
    return make_error(ErrorCode::kTooLarge, "the file grew while it was read").about(file.string());
  }
  text.shrink(used);
  return text;
}

Result<KeyFolder> KeyFolder::lock(const std::filesystem::path& folder) {
  std::error_code ignored;  // mkdir below reports what matters
  std::filesystem::create_directories(folder.parent_path(), ignored);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return os_error("create", folder.string());
  }
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_open()) return os_error("open", folder.string());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", folder.string());
  // Who can write to the folder can exchange keys.
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 || status.st_uid != ::geteuid()) {
    return unsafe(folder, "in a folder that others can write to");
  }
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return os_error("lock", folder.string());
  }
  KeyFolder locked(std::move(fd), folder);
  MLXGUARD_TRY(locked.recover());
  return locked;
}

Result<void> KeyFolder::settle(const std::filesystem::path& folder) {
  struct stat status {};
  if (::lstat((folder / kJournal).c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return os_error("stat", folder.string());
  }
  auto finished = lock(folder);
  if (!finished) return std::move(finished).error().with("finishing an interrupted change of keys");
  return {};
}

Result<void> KeyFolder::recover() const {
  auto journal = read_key_file(path_ / kJournal, KeyFileReaders::kAnyone, limits::kKeyFileBytesMax);
  if (journal) return put_in_place(journal->text());
  if (journal.error().code != ErrorCode::kNotFound) return std::move(journal).error();
  remove_unfinished();
  return {};
}

/// What a process left that was killed before its changes were to happen.
void KeyFolder::remove_unfinished() const {
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator(path_, problem)) {
    const std::string name = entry.path().filename().string();
    if (name.size() > 5 && name.starts_with(".") && name.ends_with(".new")) {
      ::unlinkat(fd_.get(), name.c_str(), 0);
    }
  }
}

Result<void> KeyFolder::sync() const {
  if (::fsync(fd_.get()) != 0) return os_error("write", path_.string());
  return {};
}

Result<void> KeyFolder::write_beside(const KeyFile& file) const {
  const std::string name = unfinished(file.name);
  ::unlinkat(fd_.get(), name.c_str(), 0);
  const UniqueFd fd(::openat(fd_.get(), name.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, file.mode));
  if (!fd.is_open()) return os_error("create", file.name);
  return write_and_sync(fd.get(), file.content.bytes(), file.name);
}

Result<void> KeyFolder::put_in_place(std::string_view journal) const {
  while (!journal.empty()) {
    const std::size_t end = std::min(journal.find('\n'), journal.size());
    const std::string_view line = journal.substr(0, end);
    journal.remove_prefix(std::min(end + 1, journal.size()));
    const bool replace = !line.empty() && line.front() == kReplace;
    if (line.size() < 3 || (!replace && line.front() != kNew) || !is_plain_name(line.substr(2))) {
      return make_error(ErrorCode::kKeyRecord, "the key folder's list of changes is malformed")
          .about((path_ / kJournal).string());
    }
    const std::string name(line.substr(2));
    const std::string from = unfinished(name);
    // What is not there any more is in its place already.
    if (::renameat2(fd_.get(), from.c_str(), fd_.get(), name.c_str(),
                    replace ? 0u : static_cast<unsigned>(RENAME_NOREPLACE)) != 0 &&
        errno != ENOENT) {
      if (errno != EEXIST) return os_error("rename", name);
      ::unlinkat(fd_.get(), from.c_str(), 0);
    }
  }
  MLXGUARD_TRY(sync());
  ::unlinkat(fd_.get(), kJournal, 0);
  return sync();  // or an old list could meet the next change's files after a power cut
}

Result<void> KeyFolder::commit(const std::vector<KeyFile>& files) const {
  std::string journal;
  for (const KeyFile& file : files) {
    struct stat status {};
    if (file.over == KeyFile::Over::kNever &&
        ::fstatat(fd_.get(), file.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      return exists(file.name);
    }
    journal += file.over == KeyFile::Over::kNever ? kNew : kReplace;
    journal += " " + file.name + "\n";
  }
  const auto write_everything = [&]() -> Result<void> {
    for (const KeyFile& file : files) MLXGUARD_TRY(write_beside(file));
    const UniqueFd fd(::openat(fd_.get(), kJournalUnfinished,
                               O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.is_open()) return os_error("create", kJournalUnfinished);
    MLXGUARD_TRY(write_and_sync(fd.get(), as_bytes(journal), kJournalUnfinished));
    MLXGUARD_TRY(sync());
    if (::renameat(fd_.get(), kJournalUnfinished, fd_.get(), kJournal) != 0) {
      return os_error("rename", kJournal);
    }
    return sync();
  };
  if (auto written = write_everything(); !written) {
    remove_unfinished();
    return written;
  }
  return put_in_place(journal);
}

}  // namespace mlxguard::crypto
