// SPDX-License-Identifier: Apache-2.0
#include "validate/tensor.h"

#include <array>

#include "base/checked.h"
#include "base/limits.h"

namespace mlxguard::validate {
namespace {

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  std::size_t size_bytes;
};

constexpr std::array kDtypes{
    DtypeRow{Dtype::kBool, "BOOL", 1},     DtypeRow{Dtype::kUint8, "UINT8", 1},
    DtypeRow{Dtype::kUint16, "UINT16", 2}, DtypeRow{Dtype::kUint32, "UINT32", 4},
    DtypeRow{Dtype::kUint64, "UINT64", 8}, DtypeRow{Dtype::kInt8, "INT8", 1},
    DtypeRow{Dtype::kInt16, "INT16", 2},   DtypeRow{Dtype::kInt32, "INT32", 4},
    DtypeRow{Dtype::kInt64, "INT64", 8},   DtypeRow{Dtype::kFp16, "FP16", 2},
    DtypeRow{Dtype::kBf16, "BF16", 2},     DtypeRow{Dtype::kFp32, "FP32", 4},
    DtypeRow{Dtype::kFp64, "FP64", 8},
};

const DtypeRow& row_of(Dtype dtype) {
  for (const DtypeRow& row : kDtypes) {
    if (row.dtype == dtype) return row;
  }
  MLXGUARD_CHECK(false);
}

}  // namespace

std::size_t size_of(Dtype dtype) { return row_of(dtype).size_bytes; }

std::string_view name_of(Dtype dtype) { return row_of(dtype).name; }

std::optional<Dtype> find_dtype(std::string_view oip_name) {
  for (const DtypeRow& row : kDtypes) {
    if (row.name == oip_name) return row.dtype;
  }
  return std::nullopt;
}

Result<std::uint64_t> element_count(const Shape& shape) {
  // A zero does not excuse the other extents: each is checked, and so is the product without it.
  std::uint64_t nonzero = 1;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0 || extent > limits::kTensorDimensionMax) {
      return make_error(ErrorCode::kOverflow, "a dimension is negative or too large");
    }
    if (extent == 0) {
      empty = true;
      continue;
    }
    const auto product = checked_mul(nonzero, static_cast<std::uint64_t>(extent));
    if (!product || *product > limits::kTensorElementsMax) {
      return make_error(ErrorCode::kOverflow, "a shape has more elements than any tensor may have");
    }
    nonzero = *product;
  }
  return empty ? 0 : nonzero;
}

}  // namespace mlxguard::validate
