// SPDX-License-Identifier: Apache-2.0
// Reach a file: by path, by a descriptor that should not be there, by what was inherited.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "attack.h"

namespace mlxguard::attacks {
namespace {

constexpr int kFirstForeignFd = 4;

int open_path(const char* path, int flags) {
  return outcome_of(::syscall(SYS_openat, AT_FDCWD, path, flags, 0600));
}

int inherited_descriptor(const Context&) {
  for (int fd = kFirstForeignFd; fd < 2048; ++fd) {
    struct stat status {};
    if (::syscall(SYS_fstat, fd, &status) >= 0 || errno != EBADF) return 0;
  }
  return EBADF;
}

constexpr std::array kAttacks{
    Attack{"open_file", [](const Context&) { return open_path("/etc/passwd", O_RDONLY); }},
    Attack{"open_folder", [](const Context&) { return open_path("/", O_RDONLY | O_DIRECTORY); }},
    Attack{"open_above_the_root",
           [](const Context&) { return open_path("/../../../etc/passwd", O_RDONLY); }},
    Attack{"create_file", [](const Context&) { return open_path("/tmp", O_WRONLY | O_TMPFILE); }},
    Attack{"open_own_memory", [](const Context&) { return open_path("/proc/self/mem", O_RDWR); }},
    Attack{"open_device", [](const Context&) { return open_path("/dev/zero", O_RDONLY); }},
    Attack{"stat_file",
           [](const Context&) {
             struct stat status {};
             return outcome_of(::syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &status, 0));
           }},
    Attack{"inherited_descriptor", inherited_descriptor},
    Attack{"inherited_environment",
           [](const Context&) {
             return std::getenv("MLXGUARD_ATTACK_SECRET") != nullptr ? 0 : ENOENT;
           }},
};

}  // namespace

std::span<const Attack> file_attacks() { return kAttacks; }

}  // namespace mlxguard::attacks
