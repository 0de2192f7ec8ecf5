// SPDX-License-Identifier: Apache-2.0
// ByteReader: little-endian reads from bytes that an attacker may have chosen. Each read is
// bounded; the first failure is kTruncated and the reader does not move.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "base/result.h"

namespace mlxguard {

using Bytes = std::span<const std::uint8_t>;

class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) noexcept : rest_(bytes) {}

  [[nodiscard]] std::size_t remaining() const noexcept { return rest_.size(); }
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

  template <class T>
    requires(std::is_arithmetic_v<T> && std::endian::native == std::endian::little)
  Result<T> read() {
    if (rest_.size() < sizeof(T)) return truncated(sizeof(T));
    T value;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }

  Result<Bytes> take(std::size_t count) {
    if (rest_.size() < count) return truncated(count);
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

 private:
  [[nodiscard]] Error truncated(std::size_t wanted) const {
    return make_error(ErrorCode::kTruncated, "expected " + std::to_string(wanted) +
                                                 " more bytes, found " +
                                                 std::to_string(rest_.size()));
  }
  Bytes rest_;
};

inline Bytes as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace mlxguard
