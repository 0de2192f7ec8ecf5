// SPDX-License-Identifier: Apache-2.0
// Wire form of messages between our processes. A message struct lists its fields once, in `visit`;
// the Encoder and the Decoder both walk that list, so the two directions cannot differ. Input of
// the Decoder: bytes from a process that may be compromised. Every length is checked against what
// is there before anything is allocated.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "base/setting.h"

namespace mlxguard::wire {

class Encoder {
 public:
  template <class T>
  void operator()(const T& value) {
    put(value);
  }
  /// A struct of settings (base/setting.h) is sent as the values of its fields, in their order.
  template <class T>
  void integer(const SettingKey&, const T& value, const SettingBounds&) {
    put(value);
  }
  [[nodiscard]] std::vector<std::uint8_t> take() && { return std::move(bytes_); }

 private:
  template <class T>
    requires(std::is_arithmetic_v<T>)
  void put(T value) {
    const auto at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
  }
  template <class T>
    requires(std::is_enum_v<T>)
  void put(T value) {
    put(static_cast<std::underlying_type_t<T>>(value));
  }
  void put(const std::string& text) { put_raw(text.data(), text.size()); }
  template <class T>
  void put(const std::vector<T>& items) {
    if constexpr (std::is_arithmetic_v<T>) {
      put_raw(items.data(), items.size() * sizeof(T));
    } else {
      put(static_cast<std::uint32_t>(items.size()));
      for (const T& item : items) put(item);
    }
  }
  template <class T>
    requires(std::is_class_v<T> && requires(T& item, Encoder& encoder) { item.visit(encoder); })
  void put(const T& item) {
    const_cast<T&>(item).visit(*this);  // the Encoder only reads
  }
  void put_raw(const void* data, std::size_t size) {
    MLXGUARD_CHECK(size <= UINT32_MAX);
    put(static_cast<std::uint32_t>(size));
    const auto at = bytes_.size();
    bytes_.resize(at + size);
    if (size != 0) std::memcpy(bytes_.data() + at, data, size);
  }
  std::vector<std::uint8_t> bytes_;
};

/// Stops at the first error; the caller asks `finish()`, which also refuses left-over bytes.
class Decoder {
 public:
  explicit Decoder(Bytes bytes) : reader_(bytes) {}

  template <class T>
  void operator()(T& value) {
    if (ok_) get(value);
  }
  /// Everything after the fields read so far, for messages that carry a body of another's making.
  [[nodiscard]] Bytes take_rest() {
    if (!ok_) return {};
    auto rest = reader_.take(reader_.remaining());
    return rest ? *rest : Bytes{};
  }
  /// A setting outside of its bounds makes the message malformed: the sender is not believed.
  template <class T>
  void integer(const SettingKey&, T& value, const SettingBounds& bounds) {
    (*this)(value);
    ok_ = ok_ && value >= bounds.min && value <= bounds.max;
  }
  [[nodiscard]] Result<void> finish() const {
    if (ok_ && reader_.at_end()) return {};
    return make_error(ErrorCode::kWorkerProtocol,
                      ok_ ? "message is longer than its fields" : "message is malformed");
  }

 private:
  template <class T>
    requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
  void get(T& value) {
    auto read = reader_.read<T>();
    if (read)
      value = *read;
    else
      ok_ = false;
  }
  void get(bool& value) {
    std::uint8_t raw = 0;
    get(raw);
    ok_ = ok_ && raw <= 1;
    value = raw == 1;
  }
  /// Enumerations on the wire declare their last enumerator as kLast.
  template <class T>
    requires(std::is_enum_v<T>)
  void get(T& value) {
    std::underlying_type_t<T> raw{};
    get(raw);
    ok_ = ok_ && raw >= 0 && raw <= static_cast<std::underlying_type_t<T>>(T::kLast);
    if (ok_) value = static_cast<T>(raw);
  }
  void get(std::string& text) {
    const Bytes raw = get_raw();
    text.assign(as_text(raw));
  }
  template <class T>
  void get(std::vector<T>& items) {
    if constexpr (std::is_arithmetic_v<T>) {
      const Bytes raw = get_raw();
      if (!ok_ || raw.size() % sizeof(T) != 0) {
        ok_ = false;
        return;
      }
      items.resize(raw.size() / sizeof(T));
      if (!raw.empty()) std::memcpy(items.data(), raw.data(), raw.size());
    } else {
      std::uint32_t count = 0;
      get(count);
      // Each item takes at least one byte, so a count beyond what remains is a lie.
      if (!ok_ || count > reader_.remaining()) {
        ok_ = false;
        return;
      }
      for (std::uint32_t i = 0; i < count && ok_; ++i) get(items.emplace_back());
    }
  }
  template <class T>
    requires(std::is_class_v<T> && requires(T& item, Decoder& decoder) { item.visit(decoder); })
  void get(T& item) {
    item.visit(*this);
  }
  Bytes get_raw() {
    std::uint32_t size = 0;
    get(size);
    if (!ok_) return {};
    auto taken = reader_.take(size);
    if (!taken) ok_ = false;
    return taken ? *taken : Bytes{};
  }
  ByteReader reader_;
  bool ok_ = true;
};

}  // namespace mlxguard::wire
