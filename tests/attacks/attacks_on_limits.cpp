// SPDX-License-Identifier: Apache-2.0
// Use more than was given, or simply break. Limits: see attack_runner's plan.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

#include "attack.h"

namespace mlxguard::attacks {
namespace {

int eat_memory(const Context&) {
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kStep = 16u << 20;
  constexpr std::size_t kStepsMax = 256;    // 4 GiB
  constexpr std::size_t kStepsTouched = 6;  // beyond what a cgroup counts; then address space only
  for (std::size_t step = 0; step < kStepsMax; ++step) {
    void* block =
        ::mmap(nullptr, kStep, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return errno;
    if (step >= kStepsTouched) continue;
    for (std::size_t at = 0; at < kStep; at += kPage) static_cast<char*>(block)[at] = 1;
  }
  return 0;
}

int eat_processor(const Context&) {
  volatile unsigned long count = 0;
  for (;;) count = count + 1;
}

int start_many_threads(const Context&) {
  std::vector<std::thread> threads;
  int outcome = 0;
  for (int i = 0; i < 64 && outcome == 0; ++i) {
    pthread_t thread{};
    outcome = ::pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          ::sleep(1);
          return nullptr;
        },
        nullptr);
  }
  return outcome;
}

int grow_memfd(const Context&) {
  const int fd = ::memfd_create("large", 0);
  if (fd < 0) return errno;
  return outcome_of(::pwrite(fd, "x", 1, off_t{1} << 40));
}

int open_many_descriptors(const Context&) {
  for (int i = 0; i < 4096; ++i) {
    if (::memfd_create("one", 0) < 0) return errno;
  }
  return 0;
}

int segmentation_fault(const Context&) {
  void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return *static_cast<volatile int*>(page);
}

constexpr std::array kAttacks{
    Attack{"eat_memory", eat_memory},
    Attack{"eat_processor", eat_processor},
    Attack{"start_many_threads", start_many_threads},
    Attack{"grow_memfd", grow_memfd},
    Attack{"open_many_descriptors", open_many_descriptors},
    Attack{"segmentation_fault", segmentation_fault},
    Attack{"abort", [](const Context&) -> int { std::abort(); }},
    Attack{"exit_by_itself", [](const Context&) -> int { ::_exit(5); }},
};

}  // namespace

std::span<const Attack> limit_attacks() { return kAttacks; }

}  // namespace mlxguard::attacks
