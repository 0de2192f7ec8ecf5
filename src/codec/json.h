// SPDX-License-Identifier: Apache-2.0
// Strict JSON: RFC 8259, valid UTF-8, no duplicate keys, bounded depth and size. Sole includer of
// the JSON library. Input: bytes chosen by an attacker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace mlxguard::codec {

struct JsonLimits {
  std::size_t bytes_max = limits::kJsonDocumentBytesMax;
  std::size_t depth_max = limits::kJsonDepthMax;
};

/// Whether a numeric array may hold arrays.
enum class JsonNesting : std::uint8_t { kAllowed, kRefused };

enum class JsonKind : std::uint8_t { kNull, kBool, kInteger, kNumber, kString, kArray, kObject };

/// A value inside a JsonDocument; cheap to copy; valid as long as the document lives.
/// Accessors return kJsonType (or kJsonRange) errors that name `path` as the caller passed it.
class JsonValue {
 public:
  [[nodiscard]] JsonKind kind() const;
  [[nodiscard]] bool is(JsonKind kind_wanted) const { return kind() == kind_wanted; }

  [[nodiscard]] Result<bool> as_bool(std::string_view path = {}) const;
  /// kInteger only; a number with a fraction or exponent is kJsonType.
  [[nodiscard]] Result<std::int64_t> as_int64(std::string_view path = {}) const;
  [[nodiscard]] Result<std::uint64_t> as_uint64(std::string_view path = {}) const;
  [[nodiscard]] Result<double> as_double(std::string_view path = {}) const;
  /// View into the document.
  [[nodiscard]] Result<std::string_view> as_string(std::string_view path = {}) const;

  /// Number of elements or members; 0 for scalars.
  [[nodiscard]] std::size_t size() const;
  /// Calls `visit` for each element in order until it returns an error.
  [[nodiscard]] Result<void> each_element(
      const std::function<Result<void>(std::size_t index, JsonValue element)>& visit) const;
  [[nodiscard]] Result<void> each_member(
      const std::function<Result<void>(std::string_view key, JsonValue value)>& visit) const;

  /// The member, if this is an object that has it.
  [[nodiscard]] std::optional<JsonValue> find(std::string_view key) const;
  /// The member, or kJsonMissing (kJsonType if this is no object).
  [[nodiscard]] Result<JsonValue> member(std::string_view key) const;
  /// kJsonUnknownKey naming the first member that is not in `allowed`.
  [[nodiscard]] Result<void> only_members(std::initializer_list<std::string_view> allowed) const;

  /// Serialised again, compactly.
  [[nodiscard]] std::string dump() const;

  /// For numeric arrays on the hot path: appends every number of an array (row-major, if arrays
  /// inside it are allowed) to `out`. Errors: kJsonType for a non-number, kTooLarge beyond
  /// `elements_max`.
  [[nodiscard]] Result<void> flatten_doubles(std::vector<double>& out, std::size_t elements_max,
                                             JsonNesting nesting = JsonNesting::kAllowed) const;
  /// Rounded to nearest; kJsonRange for a number that rounds to infinity.
  [[nodiscard]] Result<void> flatten_floats(std::vector<float>& out, std::size_t elements_max,
                                            JsonNesting nesting = JsonNesting::kAllowed) const;
  [[nodiscard]] Result<void> flatten_int64s(std::vector<std::int64_t>& out,
                                            std::size_t elements_max,
                                            JsonNesting nesting = JsonNesting::kAllowed) const;

 private:
  friend class JsonDocument;
  friend struct JsonAccess;
  JsonValue() = default;
  /// The library's own 16-byte reference (document, position), kept opaque.
  alignas(8) std::array<std::byte, 16> reference_{};
};

/// Owns a parsed document. Movable; values stay valid across a move.
class JsonDocument {
 public:
  /// Errors: kTooLarge, kJsonSyntax, kJsonDuplicateKey, kJsonDepth, kUtf8.
  [[nodiscard]] static Result<JsonDocument> parse(std::string_view text, JsonLimits limits = {});
  [[nodiscard]] JsonValue root() const;

  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;
  ~JsonDocument();

 private:
  struct Impl;
  explicit JsonDocument(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Appends `text` as a JSON string, quotes included, the way JsonWriter writes it.
void append_json_string(std::string& out, std::string_view text);

/// Writes compact JSON, one token after another; commas and escapes are its business. Misuse (a
/// value without a key inside an object) is a broken invariant. Strings are written as valid UTF-8:
/// invalid bytes become U+FFFD, control characters are escaped.
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);
  JsonWriter& string(std::string_view text);
  JsonWriter& integer(std::int64_t value);
  JsonWriter& unsigned_integer(std::uint64_t value);
  /// Shortest text that reads back as the same double; NaN and infinity are written as null.
  JsonWriter& number(double value);
  JsonWriter& number(float value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  /// `json` must be one complete JSON value already.
  JsonWriter& raw(std::string_view json);

  JsonWriter& field(std::string_view name, std::string_view text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, const char* text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, std::int64_t value) { return key(name).integer(value); }

  [[nodiscard]] const std::string& text() const { return out_; }
  [[nodiscard]] std::string take() && { return std::move(out_); }

 private:
  void before_value();
  std::string out_;
  std::vector<bool> has_items_;
  bool after_key_ = false;
};

}  // namespace mlxguard::codec
