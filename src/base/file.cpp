// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/copy_step.h"
#include "base/os_error.h"

namespace mlxguard {
namespace {

std::string_view kind_name(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISCHR(mode)) return "a device";
  if (S_ISBLK(mode)) return "a block device";
  if (S_ISSOCK(mode)) return "a socket";
  return "something else";
}

bool allowed(mode_t mode, FileKind kind) {
  if (S_ISREG(mode)) return true;
  return kind == FileKind::kReadable && (S_ISFIFO(mode) || S_ISCHR(mode));
}

/// Waits until a descriptor that was opened without blocking has bytes or has ended. A named pipe
/// that nobody has opened for writing yet is waited for, as `cat` would.
Result<void> wait_for_bytes(int fd, std::string_view subject) {
  pollfd waiting{fd, POLLIN, 0};
  while (::poll(&waiting, 1, -1) < 0) {
    if (errno != EINTR) return os_error("wait for", subject);
  }
  return {};
}

}  // namespace

Result<OpenedFile> open_for_reading(const std::filesystem::path& path, FileKind kind, Links links) {
  const std::string name = path.string();
  if (name.empty()) {
    return make_error(ErrorCode::kNotFound, "expected the name of a file, found an empty one");
  }
  const int no_follow = links == Links::kRefuse ? O_NOFOLLOW : 0;
  OpenedFile opened;
  // O_NONBLOCK: opening a named pipe that has no writer returns at once.
  opened.fd =
      UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | no_follow));
  if (!opened.fd.is_open()) {
    if (errno == ELOOP && links == Links::kRefuse) {
      return make_error(ErrorCode::kIo, "expected a file, found a symbolic link").about(name);
    }
    return os_error("open", name);
  }
  struct stat status {};
  if (::fstat(opened.fd.get(), &status) != 0) return os_error("stat", name);
  if (!allowed(status.st_mode, kind)) {
    return make_error(ErrorCode::kIo, "expected a file, found " +
                                          std::string(kind_name(status.st_mode)) + ": " + name)
        .about(name)
        .hinting("name a file");
  }
  opened.mode = status.st_mode;
  opened.owner = status.st_uid;
  if (S_ISREG(status.st_mode)) opened.size_bytes = static_cast<std::uint64_t>(status.st_size);
  return opened;
}

Result<std::string> read_to_end(int fd, std::uint64_t bytes_max, std::string_view subject) {
  std::string text;
  std::size_t filled = 0;
  struct stat status {};
  if (::fstat(fd, &status) != 0) return os_error("stat", subject);
  if (S_ISREG(status.st_mode) && status.st_size > 0) {
    // One byte more than the file has: its end is seen without reading into a larger buffer.
    text.resize(
        std::min(static_cast<std::uint64_t>(status.st_size), bytes_max) + std::uint64_t{1});
  }
  for (;;) {
    if (filled == text.size()) text.resize(filled + kCopyStepBytes);
    const ssize_t count = ::read(fd, text.data() + filled, text.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      MLXGUARD_TRY(wait_for_bytes(fd, subject));
      continue;
    }
    if (count < 0) return os_error("read", subject);
    if (count == 0 && S_ISFIFO(status.st_mode) && filled == 0) {
      // Nobody writes to the pipe: either they have ended, or they have not come yet. poll(2) tells
      // the two apart, since it reports a hang-up only after there was a writer.
      pollfd waiting{fd, POLLIN, 0};
      const int ready = ::poll(&waiting, 1, -1);
      if (ready < 0 && errno == EINTR) continue;
      if (ready > 0 && (waiting.revents & POLLIN) != 0) continue;
    }
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
    if (filled > bytes_max) {
      return make_error(ErrorCode::kTooLarge,
                        "expected at most " + std::to_string(bytes_max) + " bytes, found more")
          .about(std::string(subject));
    }
  }
  text.resize(filled);
  return text;
}

Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t bytes_max,
                              FileKind kind, Links links) {
  MLXGUARD_TRY_ASSIGN(const OpenedFile opened, open_for_reading(path, kind, links));
  return read_to_end(opened.fd.get(), bytes_max, path.string());
}

Result<void> write_all(int fd, std::string_view text, std::string_view subject) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("write", subject);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> finish_standard_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return {};
  return make_error(ErrorCode::kIo, "standard output could not be written")
      .hinting("what was printed is not whole: make room on the disk, or print elsewhere");
}

}  // namespace mlxguard
