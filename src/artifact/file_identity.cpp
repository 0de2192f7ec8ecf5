// SPDX-License-Identifier: Apache-2.0
#include "artifact/file_identity.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/os_error.h"

namespace mlxguard::artifact {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
/// Longer than one tick of the kernel's coarse clock at its slowest (100 Hz), with room.
constexpr std::int64_t kFineStepNs = 50'000'000;
/// FAT keeps even seconds; so may what stands behind a network file system.
constexpr std::int64_t kCoarseStepNs = 3 * kSecondNs;

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * kSecondNs + time.tv_nsec;
}

}  // namespace

Result<FileIdentity> identity_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return os_error("stat", "an open file");
  FileIdentity identity;
  identity.device = status.st_dev;
  identity.inode = status.st_ino;
  identity.size_bytes = static_cast<std::uint64_t>(status.st_size);
  identity.modified_ns = nanoseconds(status.st_mtim);
  identity.changed_ns = nanoseconds(status.st_ctim);
  return identity;
}

Writers writers_of(int fd) {
  // The kernel gives a lease for reading only where there is no writer. Who wants to write while we
  // hold it is told to us by a signal, whose default is to be ignored, and waits until we let go.
  if (::fcntl(fd, F_SETSIG, SIGURG) != 0) return Writers::kUnknown;
  if (::fcntl(fd, F_SETLEASE, F_RDLCK) != 0) {
    return errno == EAGAIN ? Writers::kSome : Writers::kUnknown;
  }
  ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return Writers::kNone;
}

bool is_settled(const FileIdentity& identity, std::int64_t now_ns) {
  const bool coarse = identity.modified_ns % kSecondNs == 0 && identity.changed_ns % kSecondNs == 0;
  const std::int64_t latest = std::max(identity.modified_ns, identity.changed_ns);
  return latest <= now_ns - (coarse ? kCoarseStepNs : kFineStepNs);
}

}  // namespace mlxguard::artifact
