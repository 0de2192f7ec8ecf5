// SPDX-License-Identifier: Apache-2.0
// Secret: bytes that are locked into memory, kept out of core dumps, and wiped. Move-only, never
// printed. Where the system does not let memory be locked (RLIMIT_MEMLOCK), what is secret may
// reach swap: then private_memory_is_locked() says so, and whoever used a key has to say it too.
// Wiping always happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/byte_reader.h"

namespace mlxguard::crypto {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::size_t size);
  [[nodiscard]] static Secret copy_of(Bytes bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  [[nodiscard]] std::size_t size() const { return size_; }
  /// False if the system refused to lock these bytes.
  [[nodiscard]] bool is_locked() const { return locked_; }
  [[nodiscard]] Bytes bytes() const { return {data_, size_}; }
  [[nodiscard]] std::span<std::uint8_t> writable() { return {data_, size_}; }
  [[nodiscard]] std::string_view text() const { return as_text(bytes()); }
  /// Keeps the first `size` bytes and wipes the rest.
  void shrink(std::size_t size);

 private:
  void wipe() noexcept;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_bytes_ = 0;
  bool locked_ = true;
};

/// For the beginning of main(), before any thread and any use of the crypto library: no core dump,
/// no other process of this user may look in; the library keeps private numbers on pages that are
/// locked and not dumped, and wipes whatever memory it gives back. Where the system limits locked
/// memory: private_memory_is_locked().
void protect_process_memory();

/// False once a passphrase, a PIN or a private key was held in memory that is not locked.
[[nodiscard]] bool private_memory_is_locked() noexcept;
/// For those who take in such a thing.
void note_private_memory(bool locked) noexcept;
/// Whether the library's private numbers lie on locked pages.
[[nodiscard]] bool library_memory_is_locked() noexcept;

/// Overwrites memory in a way the compiler keeps.
void wipe_memory(void* data, std::size_t size) noexcept;

}  // namespace mlxguard::crypto
