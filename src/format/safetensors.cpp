// SPDX-License-Identifier: Apache-2.0
#include "format/safetensors.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/limits.h"
#include "codec/json.h"
#include "format/shape.h"

namespace mlxguard::format {
namespace {

using codec::JsonKind;
using codec::JsonValue;

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kHeaderDepthMax = 4;  // header -> tensor -> shape -> number

Error header_error(std::string message, std::string_view tensor = {}) {
  return make_error(ErrorCode::kSafetensorsHeader, std::move(message)).about(std::string(tensor));
}

/// The header's text. mlx refuses a length of exactly the maximum, so it is refused here too.
Result<std::string_view> header_text(Bytes file) {
  ByteReader reader(file);
  const auto length = reader.read<std::uint64_t>();
  if (!length) return header_error("expected a header length of 8 bytes");
  if (*length < 2 || *length >= limits::kSafetensorsHeaderBytesMax) {
    return header_error("header length " + std::to_string(*length) + " is outside of its bounds");
  }
  const auto text = reader.take(static_cast<std::size_t>(*length));
  if (!text) {
    return header_error("header length " + std::to_string(*length) + " exceeds the file");
  }
  if (text->front() != '{') return header_error("header does not begin with an object");
  return as_text(*text);
}

Result<codec::JsonDocument> parse_header(std::string_view text) {
  auto document = codec::JsonDocument::parse(
      text, {.bytes_max = limits::kSafetensorsHeaderBytesMax, .depth_max = kHeaderDepthMax});
  if (document) return std::move(document).value();
  Error error = std::move(document).error();
  error.code = error.code == ErrorCode::kJsonDuplicateKey ? ErrorCode::kSafetensorsDuplicate
                                                          : ErrorCode::kSafetensorsHeader;
  return error;
}

Result<void> check_metadata(JsonValue metadata) {
  if (metadata.is(JsonKind::kNull)) return {};  // mlx writes this where there is none
  if (!metadata.is(JsonKind::kObject)) return header_error("__metadata__ is not an object");
  return metadata.each_member([](std::string_view, JsonValue value) -> Result<void> {
    if (value.is(JsonKind::kString)) return {};
    return header_error("__metadata__ holds something else than strings");
  });
}

Result<void> read_shape(JsonValue shape, TensorEntry& entry) {
  const auto bad = [&](const std::string& what) {
    return make_error(ErrorCode::kSafetensorsShape, what).about(entry.name);
  };
  if (!shape.is(JsonKind::kArray)) return bad("shape is not an array");
  if (shape.size() > limits::kTensorRankMax) {
    return bad("rank " + std::to_string(shape.size()) + " exceeds " +
               std::to_string(limits::kTensorRankMax));
  }
  return shape.each_element([&](std::size_t index, JsonValue element) -> Result<void> {
    const auto extent = element.as_int64();
    if (!extent || *extent < 0 || *extent > limits::kTensorDimensionMax) {
      return bad("dimension " + std::to_string(index) + " is not an integer of 0 to 2147483647");
    }
    entry.shape.push_back(*extent);
    return {};
  });
}

/// Bytes that a tensor of this shape and type takes.
Result<std::uint64_t> byte_count(const TensorEntry& entry) {
  const auto elements = element_count(entry.shape);
  if (!elements) {
    return make_error(ErrorCode::kSafetensorsShape, "the number of elements is too large")
        .about(entry.name);
  }
  return *elements * size_of(entry.type);  // kTensorElementsMax * 8 fits
}

Result<void> read_offsets(JsonValue offsets, std::uint64_t data_begin, std::uint64_t file_size,
                          TensorEntry& entry) {
  const auto bad = [&](const std::string& what) {
    return make_error(ErrorCode::kSafetensorsOffsets, what).about(entry.name);
  };
  std::vector<std::uint64_t> pair;
  if (!offsets.is(JsonKind::kArray) || offsets.size() != 2) {
    return bad("data_offsets is not an array of two");
  }
  MLXGUARD_TRY(offsets.each_element([&](std::size_t, JsonValue element) -> Result<void> {
    const auto offset = element.as_uint64();
    if (!offset) return bad("an offset is not a non-negative integer");
    pair.push_back(*offset);
    return {};
  }));
  if (pair[1] < pair[0] || pair[1] > file_size - data_begin) {
    return bad("offsets " + std::to_string(pair[0]) + " to " + std::to_string(pair[1]) +
               " are reversed or exceed the file");
  }
  MLXGUARD_TRY_ASSIGN(const std::uint64_t expected, byte_count(entry));
  if (pair[1] - pair[0] != expected) {
    return std::move(bad("offsets do not match the shape"))
        .compared(std::to_string(expected) + " bytes",
                  std::to_string(pair[1] - pair[0]) + " bytes");
  }
  entry.begin_bytes = data_begin + pair[0];
  entry.end_bytes = data_begin + pair[1];
  return {};
}

Result<TensorEntry> read_tensor(std::string_view name, JsonValue value, std::uint64_t data_begin,
                                std::uint64_t file_size) {
  TensorEntry entry;
  entry.name = name;
  if (name.empty() || name.size() > limits::kTensorNameBytesMax) {
    return header_error("a tensor name is empty or longer than allowed");
  }
  if (!value.is(JsonKind::kObject) || value.size() != 3) {
    return header_error("expected the members dtype, shape and data_offsets", name);
  }
  const auto dtype = value.find("dtype");
  const auto shape = value.find("shape");
  const auto offsets = value.find("data_offsets");
  if (!dtype || !shape || !offsets) {
    return header_error("expected the members dtype, shape and data_offsets", name);
  }
  const auto type_name = dtype->as_string();
  const auto type = type_name ? find_tensor_type(*type_name) : std::nullopt;
  if (!type) return make_error(ErrorCode::kSafetensorsDtype, "unknown dtype").about(entry.name);
  entry.type = *type;
  MLXGUARD_TRY(read_shape(*shape, entry));
  MLXGUARD_TRY(read_offsets(*offsets, data_begin, file_size, entry));
  return entry;
}

/// Sorted by place in the file; then each must begin where the one before ends, up to the file's
/// end.
Result<void> check_layout(std::vector<TensorEntry>& entries, std::uint64_t data_begin,
                          std::uint64_t file_size) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.begin_bytes, a.end_bytes, a.name) <
           std::tie(b.begin_bytes, b.end_bytes, b.name);
  });
  std::uint64_t at = data_begin;
  for (const TensorEntry& entry : entries) {
    if (entry.begin_bytes != at) {
      return make_error(ErrorCode::kSafetensorsOffsets,
                        entry.begin_bytes < at ? "overlaps the tensor before" : "leaves a gap")
          .about(entry.name);
    }
    at = entry.end_bytes;
  }
  if (at != file_size) {
    return make_error(ErrorCode::kSafetensorsOffsets, "bytes after the last tensor");
  }
  return {};
}

}  // namespace

Result<TensorIndex> parse_safetensors(Bytes file) {
  MLXGUARD_TRY_ASSIGN(const std::string_view text, header_text(file));
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument document, parse_header(text));
  const std::uint64_t data_begin = kLengthBytes + text.size();
  const JsonValue root = document.root();
  if (root.size() > limits::kTensorsMax) return header_error("more tensors than allowed");

  std::vector<TensorEntry> entries;
  entries.reserve(root.size());
  MLXGUARD_TRY(root.each_member([&](std::string_view name, JsonValue value) -> Result<void> {
    if (name == "__metadata__") return check_metadata(value);
    MLXGUARD_TRY_ASSIGN(TensorEntry entry, read_tensor(name, value, data_begin, file.size()));
    entries.push_back(std::move(entry));
    return {};
  }));
  MLXGUARD_TRY(check_layout(entries, data_begin, file.size()));
  return TensorIndex(std::move(entries), data_begin);
}

}  // namespace mlxguard::format
