// SPDX-License-Identifier: Apache-2.0
#include "artifact/safe_open.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os_error.h"

namespace mlxguard::artifact {
namespace {

Result<UniqueFd> open_below(int root, const std::string& name, std::uint64_t flags, Links links) {
  open_how how{};
  // O_NONBLOCK: opening a fifo must not wait for a writer; it has no effect on regular files.
  how.flags = flags | O_RDONLY | O_CLOEXEC;
  if ((flags & O_PATH) == 0) how.flags |= O_NONBLOCK | O_NOCTTY;  // openat2 takes none with O_PATH
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  if (links == Links::kRefused) {
    how.flags |= O_NOFOLLOW;
    how.resolve |= RESOLVE_NO_SYMLINKS;
  }
  for (;;) {
    const long fd = ::syscall(SYS_openat2, root, name.c_str(), &how, sizeof(how));
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno == EINTR || errno == EAGAIN) continue;  // EAGAIN: a rename raced with the walk
    if (errno == ELOOP || errno == EXDEV) {
      return make_error(ErrorCode::kArtifactSymlink,
                        links == Links::kRefused
                            ? "a symbolic link inside the model"
                            : "a symbolic link that leaves the model, or a loop")
          .about(name);
    }
    if (errno == ENXIO || errno == ENODEV) {
      return make_error(ErrorCode::kArtifactSpecial, "a device, fifo or socket inside the model")
          .about(name);
    }
    if (errno == ENOSYS) {
      return make_error(ErrorCode::kUnsupportedPlatform, "this kernel has no openat2 (Linux 5.6)");
    }
    return os_error("open", name);
  }
}

}  // namespace

Result<UniqueFd> open_regular(int root, const std::string& name, Links links) {
  MLXGUARD_TRY_ASSIGN(UniqueFd fd, open_below(root, name, 0, links));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", name);
  if (!S_ISREG(status.st_mode)) {
    return make_error(ErrorCode::kArtifactSpecial, "expected a regular file").about(name);
  }
  return fd;
}

Result<UniqueFd> open_below_any(int root, const std::string& name) {
  auto fd = open_below(root, name, O_PATH, Links::kFollowedInside);
  if (fd || fd.error().code != ErrorCode::kNotFound) return fd;
  return make_error(ErrorCode::kArtifactSymlink, "a symbolic link that leads nowhere").about(name);
}

Result<UniqueFd> open_folder(int root, const std::string& name, Links links) {
  return open_below(root, name, O_DIRECTORY, links);
}

}  // namespace mlxguard::artifact
