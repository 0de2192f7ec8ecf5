// SPDX-License-Identifier: Apache-2.0
#include "crypto/secret.h"

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/check.h"

namespace mlxguard::crypto {

Secret::Secret(std::size_t size) : size_(size) {
  if (size == 0) return;
  // Pages of its own, so that locking and MADV_DONTDUMP touch nothing else.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  mapped_bytes_ = (size + page - 1) / page * page;
  void* mapped = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
  MLXGUARD_CHECK(mapped != MAP_FAILED);
  data_ = static_cast<std::uint8_t*>(mapped);
  ::mlock(data_, mapped_bytes_);
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
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapped_bytes_ = std::exchange(other.mapped_bytes_, 0);
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
