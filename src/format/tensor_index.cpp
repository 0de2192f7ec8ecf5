// SPDX-License-Identifier: Apache-2.0
#include "format/tensor_index.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace mlxguard::format {
namespace {

struct TypeRow {
  TensorType type;
  std::string_view name;
  std::size_t size_bytes;
};

constexpr std::array kTypes{
    TypeRow{TensorType::kBool, "BOOL", 1},     TypeRow{TensorType::kUint8, "U8", 1},
    TypeRow{TensorType::kInt8, "I8", 1},       TypeRow{TensorType::kUint16, "U16", 2},
    TypeRow{TensorType::kInt16, "I16", 2},     TypeRow{TensorType::kFloat16, "F16", 2},
    TypeRow{TensorType::kBfloat16, "BF16", 2}, TypeRow{TensorType::kUint32, "U32", 4},
    TypeRow{TensorType::kInt32, "I32", 4},     TypeRow{TensorType::kFloat32, "F32", 4},
    TypeRow{TensorType::kUint64, "U64", 8},    TypeRow{TensorType::kInt64, "I64", 8},
};

const TypeRow& row_of(TensorType type) {
  const auto index = static_cast<std::size_t>(type);
  MLXGUARD_CHECK(index < kTypes.size() && kTypes[index].type == type);
  return kTypes[index];
}

}  // namespace

std::size_t size_of(TensorType type) { return row_of(type).size_bytes; }
std::string_view name_of(TensorType type) { return row_of(type).name; }

std::optional<TensorType> find_tensor_type(std::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

TensorIndex::TensorIndex(std::vector<TensorEntry> entries, std::uint64_t data_begin_bytes)
    : entries_(std::move(entries)), by_name_(entries_.size()), data_begin_bytes_(data_begin_bytes) {
  std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
  std::sort(by_name_.begin(), by_name_.end(),
            [this](std::size_t a, std::size_t b) { return entries_[a].name < entries_[b].name; });
}

const TensorEntry* TensorIndex::find(std::string_view name) const {
  const auto found =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [this](std::size_t i, std::string_view n) { return entries_[i].name < n; });
  if (found == by_name_.end() || entries_[*found].name != name) return nullptr;
  return &entries_[*found];
}

}  // namespace mlxguard::format
