// SPDX-License-Identifier: Apache-2.0
// TensorIndex: where each tensor of a weights file lies, every offset proven in bounds. It stands
// between verified bytes and mlx: the engine takes tensors by this index, not by mlx's own reading
// of a header.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::format {

/// Element types that both safetensors and mlx have. What mlx would read as another type (F8) or
/// not at all (F64) is refused.
enum class TensorType : std::uint8_t {
  kBool,
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kFloat16,
  kBfloat16,
  kUint32,
  kInt32,
  kFloat32,
  kUint64,
  kInt64,
};

[[nodiscard]] std::size_t size_of(TensorType type);
/// As safetensors writes it: "BF16".
[[nodiscard]] std::string_view name_of(TensorType type);
[[nodiscard]] std::optional<TensorType> find_tensor_type(std::string_view name);

struct TensorEntry {
  std::string name;
  TensorType type = TensorType::kFloat32;
  std::vector<std::int64_t> shape;  ///< each 0..kTensorDimensionMax
  std::uint64_t begin_bytes = 0;    ///< from the start of the file
  std::uint64_t end_bytes = 0;      ///< end - begin == elements * size_of(type)
};

/// Tensors in the order of their bytes: disjoint, without gaps, up to the end of the file.
class TensorIndex {
 public:
  [[nodiscard]] const std::vector<TensorEntry>& entries() const { return entries_; }
  [[nodiscard]] const TensorEntry* find(std::string_view name) const;
  /// Where the first tensor's bytes begin; everything before is header.
  [[nodiscard]] std::uint64_t data_begin_bytes() const { return data_begin_bytes_; }

 private:
  friend Result<TensorIndex> parse_safetensors(Bytes file);
  TensorIndex(std::vector<TensorEntry> entries, std::uint64_t data_begin_bytes);
  std::vector<TensorEntry> entries_;
  std::vector<std::size_t> by_name_;  ///< indexes into entries_, sorted by name
  std::uint64_t data_begin_bytes_ = 0;
};

}  // namespace mlxguard::format
