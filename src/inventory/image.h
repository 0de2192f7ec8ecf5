// SPDX-License-Identifier: Apache-2.0
// Image: random, bounded reads from a binary file's bytes, and a budget for the names taken from
// it, so that many symbols which point into one long name cost no more than the file is worth.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/limits.h"

namespace mlxguard::inventory {

class Image {
 public:
  Image(Bytes bytes, ErrorCode code)
      : bytes_(bytes), code_(code), name_bytes_left_(4 * bytes.size() + (1u << 20)) {}

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] Bytes bytes() const { return bytes_; }

  /// The bytes at [offset, offset + count), or the format's error.
  [[nodiscard]] Result<Bytes> slice(std::uint64_t offset, std::uint64_t count) const {
    const auto end = checked_add<std::uint64_t>(offset, count);
    if (!end || *end > bytes_.size()) return outside(offset, count);
    return bytes_.subspan(offset, count);
  }

  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] Result<T> at(std::uint64_t offset) const {
    MLXGUARD_TRY_ASSIGN(const Bytes raw, slice(offset, sizeof(T)));
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }

  /// The NUL-terminated name at `offset` of `table`.
  [[nodiscard]] Result<std::string_view> name(Bytes table, std::uint64_t offset) {
    if (offset >= table.size()) return outside(offset, 1);
    const Bytes rest = table.subspan(offset);
    const std::size_t window = std::min(rest.size(), limits::kNativeNameBytesMax + 1);
    const void* end = std::memchr(rest.data(), 0, window);
    if (end == nullptr) return make_error(code_, "expected a name that ends, found none");
    const auto length =
        static_cast<std::size_t>(static_cast<const std::uint8_t*>(end) - rest.data());
    if (length + 1 > name_bytes_left_) {
      return make_error(code_, "expected names in proportion to the file, found them repeated");
    }
    name_bytes_left_ -= length + 1;
    return as_text(rest.first(length));
  }

 private:
  [[nodiscard]] Error outside(std::uint64_t offset, std::uint64_t count) const {
    return make_error(code_, "expected " + std::to_string(count) + " bytes at " +
                                 std::to_string(offset) + ", found a file of " +
                                 std::to_string(bytes_.size()));
  }
  Bytes bytes_;
  ErrorCode code_;
  std::size_t name_bytes_left_;
};

}  // namespace mlxguard::inventory
