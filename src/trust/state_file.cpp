// SPDX-License-Identifier: Apache-2.0
#include "trust/state_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/file.h"
#include "base/os_error.h"

namespace mlxguard::trust {
namespace {

namespace fs = std::filesystem;

/// Who may write a folder may put another file in the place of any in it, unless the folder is
/// sticky.
Result<void> check_folder_of(const fs::path& file) {
  std::error_code problem;
  const fs::path real = fs::canonical(file, problem);
  if (problem) return make_error(ErrorCode::kIo, problem.message()).about(file.string());
  struct stat status {};
  if (::stat(real.parent_path().c_str(), &status) != 0) {
    return os_error("stat", real.parent_path().string());
  }
  const bool owned = status.st_uid == ::geteuid() || status.st_uid == 0;
  const bool guarded =
      (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (status.st_mode & S_ISVTX) != 0;
  if (owned && guarded) return {};
  return make_error(ErrorCode::kUnsafePermissions,
                    "expected a folder of this user or root that no one else can write")
      .about(real.parent_path().string())
      .hinting("chmod go-w it: who may write it may replace what is in it");
}

Result<void> write_and_sync(int fd, std::string_view content, const std::string& name) {
  MLXGUARD_TRY(write_all(fd, content, name));
  if (::fsync(fd) != 0) return os_error("sync", name);
  return {};
}

}  // namespace

Result<std::string> read_trusted_file(const fs::path& file, std::size_t bytes_max) {
  // Not blocked by a fifo in its place.
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd.is_open()) return os_error("open", file.string());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", file.string());
  const bool owned = status.st_uid == ::geteuid() || status.st_uid == 0;
  if (!S_ISREG(status.st_mode) || !owned || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return make_error(ErrorCode::kUnsafePermissions,
                      "expected a file of this user or root that no one else can write")
        .about(file.string())
        .hinting("chmod go-w it, if its content is yours");
  }
  MLXGUARD_TRY(check_folder_of(file));
  return read_to_end(fd.get(), bytes_max, file.string());
}

Result<void> replace_trusted_file(const fs::path& file, std::string_view content) {
  std::error_code problem;
  fs::path place = fs::weakly_canonical(file, problem);
  if (problem) place = file;
  const fs::path unfinished = place.parent_path() / ("." + place.filename().string() + ".new");
  if (::unlink(unfinished.c_str()) != 0 && errno != ENOENT) {
    return os_error("remove", unfinished.string());
  }
  const UniqueFd fd(
      ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd.is_open()) return os_error("create", unfinished.string());
  auto written = write_and_sync(fd.get(), content, file.string());
  if (written && ::rename(unfinished.c_str(), place.c_str()) != 0) {
    written = os_error("rename", file.string());
  }
  if (!written) {
    ::unlink(unfinished.c_str());
    return written;
  }
  const UniqueFd folder(::open(place.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || ::fsync(folder.get()) != 0) {
    return os_error("sync the folder of", file.string());
  }
  return {};
}

Result<UniqueFd> folder_lock(const fs::path& folder) {
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return os_error("open", folder.string());
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return os_error("lock", folder.string());
  }
  return fd;
}

}  // namespace mlxguard::trust
