// SPDX-License-Identifier: Apache-2.0
#include "crypto/secret.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace mlxguard::crypto {
namespace {

// The library's own allocations. Its decoders leave copies of a private key in memory that they
// free: it is wiped before anyone else gets it.
constexpr std::size_t kSecureHeapBytes = 256u << 10;
constexpr std::size_t kSecureHeapSmallest = 32;

// Of the whole process, as its memory is.
std::atomic<bool> library_locked{false};
std::atomic<bool> private_unlocked{false};

void* plain_malloc(std::size_t size, const char*, int) { return std::malloc(size); }

void wiping_free(void* memory, const char*, int) {
  if (memory == nullptr) return;
  OPENSSL_cleanse(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

void* wiping_realloc(void* memory, std::size_t size, const char*, int) {
  if (memory == nullptr) return std::malloc(size);
  if (size == 0) {
    wiping_free(memory, nullptr, 0);
    return nullptr;
  }
  void* larger = std::malloc(size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, memory, std::min(size, ::malloc_usable_size(memory)));
  wiping_free(memory, nullptr, 0);
  return larger;
}

}  // namespace

void protect_process_memory() {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  // Before the library's first allocation, or it keeps the ordinary functions.
  CRYPTO_set_mem_functions(plain_malloc, wiping_realloc, wiping_free);
  // 2: there is a heap, and it could not be locked or kept out of dumps.
  library_locked = CRYPTO_secure_malloc_init(kSecureHeapBytes, kSecureHeapSmallest) == 1;
}

bool private_memory_is_locked() noexcept { return !private_unlocked; }
void note_private_memory(bool locked) noexcept {
  if (!locked) private_unlocked = true;
}
bool library_memory_is_locked() noexcept { return library_locked; }

Secret::Secret(std::size_t size) : size_(size) {
  if (size == 0) return;
  // Pages of its own, so that locking and MADV_DONTDUMP touch nothing else.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  mapped_bytes_ = (size + page - 1) / page * page;
  void* mapped =
      ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MLXGUARD_CHECK(mapped != MAP_FAILED);
  data_ = static_cast<std::uint8_t*>(mapped);
  locked_ = ::mlock(data_, mapped_bytes_) == 0;
  ::madvise(data_, mapped_bytes_, MADV_DONTDUMP);
  ::madvise(data_, mapped_bytes_, MADV_WIPEONFORK);
}

Secret Secret::copy_of(Bytes bytes) {
  Secret secret(bytes.size());
  if (!bytes.empty()) std::memcpy(secret.data_, bytes.data(), bytes.size());
  return secret;
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)),
      locked_(std::exchange(other.locked_, true)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapped_bytes_ = std::exchange(other.mapped_bytes_, 0);
    locked_ = std::exchange(other.locked_, true);
  }
  return *this;
}

Secret::~Secret() { wipe(); }

void Secret::shrink(std::size_t size) {
  MLXGUARD_CHECK(size <= size_);
  if (size < size_) wipe_memory(data_ + size, size_ - size);
  size_ = size;
}

void Secret::wipe() noexcept {
  if (data_ == nullptr) return;
  wipe_memory(data_, mapped_bytes_);
  ::munmap(data_, mapped_bytes_);
  data_ = nullptr;
  size_ = mapped_bytes_ = 0;
}

void wipe_memory(void* data, std::size_t size) noexcept { OPENSSL_cleanse(data, size); }

}  // namespace mlxguard::crypto
