// SPDX-License-Identifier: Apache-2.0
#include "engine/tensors.h"

#include <array>
#include <cstring>

namespace mlxguard::engine {
namespace {

namespace mx = mlx::core;
using validate::Dtype;

struct DtypeRow {
  Dtype ours;
  mx::Dtype theirs;
};

constexpr std::array kDtypes{
    DtypeRow{Dtype::kBool, mx::bool_},    DtypeRow{Dtype::kUint8, mx::uint8},
    DtypeRow{Dtype::kUint16, mx::uint16}, DtypeRow{Dtype::kUint32, mx::uint32},
    DtypeRow{Dtype::kUint64, mx::uint64}, DtypeRow{Dtype::kInt8, mx::int8},
    DtypeRow{Dtype::kInt16, mx::int16},   DtypeRow{Dtype::kInt32, mx::int32},
    DtypeRow{Dtype::kInt64, mx::int64},   DtypeRow{Dtype::kFp16, mx::float16},
    DtypeRow{Dtype::kBf16, mx::bfloat16}, DtypeRow{Dtype::kFp32, mx::float32},
    DtypeRow{Dtype::kFp64, mx::float64},
};

}  // namespace

mx::Dtype to_mlx(Dtype dtype) {
  for (const DtypeRow& row : kDtypes) {
    if (row.ours == dtype) return row.theirs;
  }
  MLXGUARD_CHECK(false);
}

std::optional<Dtype> from_mlx(mx::Dtype dtype) {
  for (const DtypeRow& row : kDtypes) {
    if (row.theirs == dtype) return row.ours;
  }
  return std::nullopt;
}

mx::array to_array(const validate::Tensor& tensor) {
  mx::Shape shape;
  for (const std::int64_t extent : tensor.shape) {
    shape.push_back(static_cast<mx::ShapeElem>(extent));
  }
  mx::allocator::Data data = mx::allocator::malloc(tensor.data.size());
  if (!tensor.data.empty()) {
    std::memcpy(data.buffer().raw_ptr(), tensor.data.data(), tensor.data.size());
  }
  mx::array array(std::move(data), std::move(shape), to_mlx(tensor.dtype));
  MLXGUARD_CHECK(array.nbytes() == tensor.data.size());
  return array;
}

Result<validate::Tensor> to_tensor(std::string name, const mx::array& array) {
  const auto dtype = from_mlx(array.dtype());
  if (!dtype) {
    return make_error(ErrorCode::kOutputInvalid, "an output of a type without a name").about(name);
  }
  MLXGUARD_CHECK(array.is_available() && (array.flags().row_contiguous || array.size() <= 1));
  validate::Tensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = *dtype;
  tensor.shape.assign(array.shape().begin(), array.shape().end());
  const auto* const bytes = array.data<std::uint8_t>();
  tensor.data.assign(bytes, bytes + array.nbytes());
  return tensor;
}

}  // namespace mlxguard::engine
