// SPDX-License-Identifier: Apache-2.0
#include "artifact/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/os_error.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace mlxguard::artifact {
namespace {

constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
/// Below this, two huge pages, the mapping costs more than it brings.
constexpr std::uint64_t kMapFromBytes = 2 * kHugePageBytes;

Result<UniqueFd> make_memory(const std::string& name) {
  UniqueFd memory(
      ::memfd_create("mlxguard-model", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  if (!memory.is_open() && errno == EINVAL) {  // a kernel before 6.3
    memory = UniqueFd(::memfd_create("mlxguard-model", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  }
  if (!memory.is_open()) return os_error("make memory for", name);
  return memory;
}

std::size_t rounded_down(std::size_t size) { return size / kHugePageBytes * kHugePageBytes; }
std::size_t rounded_up(std::size_t size) { return rounded_down(size + kHugePageBytes - 1); }

/// Maps `fd` at an address that huge pages can lie at; nullptr if there is no room.
std::uint8_t* map_aligned(int fd, std::size_t size) {
  const std::size_t reserved = size + kHugePageBytes;
  void* room =
      ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<std::uintptr_t>(room);  // NOLINT: arithmetic on an address
  auto* const wanted = static_cast<std::uint8_t*>(room) + (rounded_up(begin) - begin);
  void* mapped = ::mmap(wanted, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  // What was reserved around the mapping goes back.
  const std::size_t before = static_cast<std::size_t>(wanted - static_cast<std::uint8_t*>(room));
  const std::size_t whole = (size + 4095) / 4096 * 4096;
  if (before > 0) ::munmap(room, before);
  if (reserved > before + whole) ::munmap(wanted + whole, reserved - before - whole);
  return mapped == MAP_FAILED ? nullptr : wanted;
}

/// Set once the kernel has said that it has no huge pages for memory files: it is not asked again.
std::atomic<bool>& huge_pages_refused() {
  static std::atomic<bool> refused{false};
  return refused;
}

}  // namespace

Result<SealedMemory> SealedMemory::create(const std::string& name, std::uint64_t size_bytes) {
  MLXGUARD_TRY_ASSIGN(UniqueFd fd, make_memory(name));
  if (::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) {
    return os_error("make memory for", name);
  }
  SealedMemory memory(name, std::move(fd));
  if (size_bytes >= kMapFromBytes) {
    memory.data_ = map_aligned(memory.fd_.get(), size_bytes);
    if (memory.data_ != nullptr) memory.mapped_bytes_ = size_bytes;
  }
  return memory;
}

SealedMemory::SealedMemory(SealedMemory&& other) noexcept
    : name_(std::move(other.name_)),
      fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)) {}

SealedMemory& SealedMemory::operator=(SealedMemory&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  name_ = std::move(other.name_);
  fd_ = std::move(other.fd_);
  data_ = std::exchange(other.data_, nullptr);
  mapped_bytes_ = std::exchange(other.mapped_bytes_, 0);
  return *this;
}

SealedMemory::~SealedMemory() { unmap(); }

void SealedMemory::unmap() {
  if (data_ != nullptr) ::munmap(data_, mapped_bytes_);
  data_ = nullptr;
  mapped_bytes_ = 0;
}

bool SealedMemory::prepare(std::uint64_t offset, std::uint64_t size) const {
  // What is behind the last whole huge page, less than 2 MiB, is filled as small pages.
  const std::size_t begin = rounded_down(offset);
  const std::size_t end = std::min(rounded_up(offset + size), rounded_down(mapped_bytes_));
  if (begin >= end || huge_pages_refused()) return false;
  // The kernel gathers pages into a huge one only where there is at least one. Adding nothing makes
  // one, and keeps what another thread may have put there already.
  for (std::size_t at = begin; at < end; at += kHugePageBytes) {
    __atomic_fetch_add(data_ + at, std::uint8_t{0}, __ATOMIC_RELAXED);
  }
  if (::madvise(data_ + begin, end - begin, MADV_COLLAPSE) == 0) return true;
  if (errno == EINVAL) huge_pages_refused() = true;  // before Linux 6.1, or switched off
  return false;
}

Result<void> SealedMemory::write(std::span<const std::uint8_t> bytes, std::uint64_t offset) const {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("fill memory for", name_);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<UniqueFd> SealedMemory::seal() && {
  unmap();  // F_SEAL_WRITE refuses as long as a writable mapping exists
  if (::fcntl(fd_.get(), F_ADD_SEALS, kAllSeals) != 0 ||
      (::fcntl(fd_.get(), F_GET_SEALS) & kAllSeals) != kAllSeals) {
    return os_error("seal", name_);
  }
  return std::move(fd_);
}

}  // namespace mlxguard::artifact
