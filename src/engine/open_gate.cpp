// SPDX-License-Identifier: Apache-2.0
// <fcntl.h> must not be included here: with _FORTIFY_SOURCE it defines `open` itself.
#include "engine/open_gate.h"

#include <linux/fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "base/os_error.h"
#include "base/unique_fd.h"

namespace mlxguard::engine {
namespace {

constexpr char kPath[] = "mlxguard:function";

std::atomic<int> admitted_fd = -1;
std::atomic<bool> other_paths_refused = false;

/// At an offset: inside its sandbox a worker may not write(2) to a descriptor but its own output.
Result<void> fill(const UniqueFd& fd, Bytes bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        ::pwrite(fd.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return os_error("fill the function's copy");
    done += static_cast<std::size_t>(count);
  }
  return {};
}

int fail_with(int error_number) {
  errno = error_number;
  return -1;
}

int gated_open(const char* path, int flags, unsigned mode) {
  if (std::strcmp(path, kPath) == 0) {
    if ((flags & ~(O_CLOEXEC | O_LARGEFILE)) != O_RDONLY) return fail_with(EACCES);
    const int fd = admitted_fd.exchange(-1);
    return fd >= 0 ? fd : fail_with(ENOENT);
  }
  if (other_paths_refused.load()) return fail_with(EACCES);
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

}  // namespace

Result<OpenGate> OpenGate::admit(Bytes bytes) {
  UniqueFd fd(::memfd_create("mlxguard-function", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.is_open()) return os_error("memfd_create");
  MLXGUARD_TRY(fill(fd, bytes));
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (::syscall(SYS_fcntl, fd.get(), F_ADD_SEALS, kSeals) != 0) return os_error("seal the copy");
  int expected = -1;
  MLXGUARD_CHECK(admitted_fd.compare_exchange_strong(expected, fd.get()));
  static_cast<void>(fd.release());
  return OpenGate();
}

OpenGate::OpenGate(OpenGate&& other) noexcept : owns_(std::exchange(other.owns_, false)) {}

OpenGate::~OpenGate() {
  if (owns_) UniqueFd(admitted_fd.exchange(-1)).reset();  // never opened: nobody else closes it
}

const char* OpenGate::path() { return kPath; }

void refuse_other_paths() { other_paths_refused.store(true); }

}  // namespace mlxguard::engine

// The mode is read only when the caller must have passed one.
#define MLXGUARD_READ_MODE(flags, mode)           \
  unsigned mode = 0;                              \
  if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) { \
    va_list arguments;                            \
    va_start(arguments, flags);                   \
    mode = va_arg(arguments, unsigned);           \
    va_end(arguments);                            \
  }

extern "C" {

__attribute__((visibility("default"))) int open(const char* path, int flags, ...) {
  MLXGUARD_READ_MODE(flags, mode)
  return mlxguard::engine::gated_open(path, flags, mode);
}

__attribute__((visibility("default"))) int open64(const char* path, int flags, ...) {
  MLXGUARD_READ_MODE(flags, mode)
  return mlxguard::engine::gated_open(path, flags | O_LARGEFILE, mode);
}

}  // extern "C"
