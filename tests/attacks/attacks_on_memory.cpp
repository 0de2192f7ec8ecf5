// SPDX-License-Identifier: Apache-2.0
// Bring in machine code, or leave the system call table that the filter was written for.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "attack.h"

namespace mlxguard::attacks {
namespace {

constexpr std::size_t kPage = 4096;

int map_writable_and_executable(const Context&) {
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? errno : 0;
}

int make_written_memory_executable(const Context&) {
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return errno;
  static_cast<unsigned char*>(page)[0] = 0xc3;
  return outcome_of(::mprotect(page, kPage, PROT_READ | PROT_EXEC));
}

int make_own_code_writable(const Context&) {
  const auto address = reinterpret_cast<std::uintptr_t>(&make_own_code_writable) & ~(kPage - 1);
  return outcome_of(
      ::mprotect(reinterpret_cast<void*>(address), kPage, PROT_READ | PROT_WRITE | PROT_EXEC));
}

int map_executable_memfd(const Context&) {
  const int fd = ::memfd_create("code", 0);
  if (fd < 0 || ::ftruncate(fd, kPage) != 0) return errno;
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  return page == MAP_FAILED ? errno : 0;
}

int pkey_mprotect_executable(const Context&) {
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return outcome_of(::syscall(SYS_pkey_mprotect, page, kPage, PROT_READ | PROT_EXEC, -1));
}

#if defined(__x86_64__)
/// getpid by the 32-bit entry, where number 20 is not what a 64-bit filter takes it for.
int call_by_32_bit_entry(const Context&) {
  long result = 20;
  asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  return result > 0 ? 0 : ENOSYS;
}

int call_by_x32_entry(const Context&) {
  constexpr long kX32Bit = 0x40000000;
  return outcome_of(::syscall(kX32Bit | SYS_getpid));
}
#endif

constexpr std::array kAttacks{
    Attack{"map_writable_and_executable", map_writable_and_executable},
    Attack{"make_written_memory_executable", make_written_memory_executable},
    Attack{"make_own_code_writable", make_own_code_writable},
    Attack{"map_executable_memfd", map_executable_memfd},
    Attack{"pkey_mprotect_executable", pkey_mprotect_executable},
#if defined(__x86_64__)
    Attack{"call_by_32_bit_entry", call_by_32_bit_entry},
    Attack{"call_by_x32_entry", call_by_x32_entry},
#endif
};

}  // namespace

std::span<const Attack> memory_attacks() { return kAttacks; }

}  // namespace mlxguard::attacks
