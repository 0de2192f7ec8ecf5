// SPDX-License-Identifier: Apache-2.0
// SealedMemory: a memory file that is filled by several threads and then sealed by the kernel
// against every change. Nobody else holds it before it is immutable: what was hashed is what is
// kept.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard::artifact {

class SealedMemory {
 public:
  /// Errors: kIo, kNoSpace.
  [[nodiscard]] static Result<SealedMemory> create(const std::string& name,
                                                   std::uint64_t size_bytes);

  SealedMemory(SealedMemory&& other) noexcept;
  SealedMemory& operator=(SealedMemory&& other) noexcept;
  SealedMemory(const SealedMemory&) = delete;
  SealedMemory& operator=(const SealedMemory&) = delete;
  ~SealedMemory();

  /// The bytes, if this memory is large enough to be worth a mapping; else empty. Thread-safe.
  [[nodiscard]] std::span<std::uint8_t> mapped() const { return {data_, mapped_bytes_}; }
  /// Puts huge pages below part of the mapping where the kernel gives them: filling those costs a
  /// fraction of filling 4 KiB pages one by one. False if it does not: write() is faster then.
  /// Thread-safe; does not change any byte.
  [[nodiscard]] bool prepare(std::uint64_t offset, std::uint64_t size) const;
  /// Copies bytes to their place by a system call. Thread-safe.
  [[nodiscard]] Result<void> write(std::span<const std::uint8_t> bytes, std::uint64_t offset) const;

  /// Ends the mapping and sets every seal. Errors: kIo.
  [[nodiscard]] Result<UniqueFd> seal() &&;

 private:
  SealedMemory(std::string name, UniqueFd fd) : name_(std::move(name)), fd_(std::move(fd)) {}
  void unmap();
  std::string name_;
  UniqueFd fd_;
  std::uint8_t* data_ = nullptr;
  std::size_t mapped_bytes_ = 0;
};

}  // namespace mlxguard::artifact
