// SPDX-License-Identifier: Apache-2.0
// Reach what the server's operator types and reads: descriptors 0, 1 and 2.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "attack.h"

namespace mlxguard::attacks {
namespace {

constexpr std::string_view kForged = "mlxguard: error: forged [log.write]\n";

/// ENODATA where there is nothing to read, and never will be.
int read_from(int fd) {
  char byte = 0;
  const long count = ::syscall(SYS_read, fd, &byte, 1);
  return count == 0 ? ENODATA : outcome_of(count);
}

int read_copy(const Context&) {
  const long copy = ::syscall(SYS_dup, STDERR_FILENO);
  return copy < 0 ? errno : read_from(static_cast<int>(copy));
}

int read_vector(const Context&) {
  char byte = 0;
  const iovec into{&byte, 1};
  return outcome_of(::syscall(SYS_readv, STDERR_FILENO, &into, 1));
}

int read_at(const Context&) {
  char byte = 0;
  return outcome_of(::syscall(SYS_pread64, STDERR_FILENO, &byte, 1, 0));
}

int write_at(const Context&) {
  return outcome_of(
      ::syscall(SYS_pwrite64, STDERR_FILENO, kForged.data(), kForged.size(), off_t{0}));
}

int map(const Context&) {
  const long mapped = ::syscall(SYS_mmap, nullptr, 4096, PROT_READ, MAP_SHARED, STDERR_FILENO, 0);
  return outcome_of(mapped);
}

int receive(const Context&) {
  char byte = 0;
  iovec into{&byte, 1};
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  return outcome_of(::syscall(SYS_recvmsg, STDERR_FILENO, &message, MSG_DONTWAIT));
}

int reopen(const char* path, int flags) {
  return outcome_of(::syscall(SYS_openat, AT_FDCWD, path, flags));
}

int type_into_terminal(const Context&) {
  const char byte = 'x';
  return outcome_of(::syscall(SYS_ioctl, STDERR_FILENO, TIOCSTI, &byte));
}

constexpr std::array kAttacks{
    Attack{"read_standard_input", [](const Context&) { return read_from(STDIN_FILENO); }},
    Attack{"read_standard_output", [](const Context&) { return read_from(STDOUT_FILENO); }},
    Attack{"read_standard_error", [](const Context&) { return read_from(STDERR_FILENO); }},
    Attack{"read_copy_of_standard_error", read_copy},
    Attack{"read_vector_of_standard_error", read_vector},
    Attack{"read_standard_error_at", read_at},
    Attack{"map_standard_error", map},
    Attack{"receive_from_standard_error", receive},
    Attack{"reopen_standard_input",
           [](const Context&) { return reopen("/proc/self/fd/0", O_RDWR); }},
    Attack{"reopen_standard_error",
           [](const Context&) { return reopen("/proc/self/fd/2", O_RDONLY | O_NONBLOCK); }},
    Attack{"open_terminal", [](const Context&) { return reopen("/dev/tty", O_RDWR); }},
    Attack{"truncate_standard_error",
           [](const Context&) { return outcome_of(::syscall(SYS_ftruncate, STDERR_FILENO, 0)); }},
    Attack{"seek_standard_error",
           [](const Context&) {
             return outcome_of(::syscall(SYS_lseek, STDERR_FILENO, 0, SEEK_SET));
           }},
    Attack{"write_standard_error_at", write_at},
    Attack{"punch_standard_error",
           [](const Context&) {
             return outcome_of(::syscall(SYS_fallocate, STDERR_FILENO,
                                         FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
           }},
    Attack{"own_standard_error",
           [](const Context& context) {
             return outcome_of(::syscall(SYS_fcntl, STDERR_FILENO, F_SETOWN, context.runner_pid));
           }},
    Attack{"grow_standard_error",
           [](const Context&) {
             return outcome_of(::syscall(SYS_fcntl, STDERR_FILENO, F_SETPIPE_SZ, 1 << 20));
           }},
    Attack{"type_into_terminal", type_into_terminal},
    // What is left: to say something, behind its own name (launch/process_output.h).
    Attack{"write_standard_error",
           [](const Context&) {
             return outcome_of(
                 ::syscall(SYS_write, STDERR_FILENO, kForged.data(), kForged.size()));
           }},
};

}  // namespace

std::span<const Attack> standard_stream_attacks() { return kAttacks; }

}  // namespace mlxguard::attacks
