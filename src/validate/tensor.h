// SPDX-License-Identifier: Apache-2.0
// Tensor: one named tensor as bytes, the form in which requests and answers travel between gateway
// and worker. Nothing about it is checked by its type; see validate/check.h for the type that is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::validate {

/// Names as in the Open Inference Protocol v2 ("FP32"); BF16 has no JSON form of its own and
/// travels as numbers.
enum class Dtype : std::uint8_t {
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFp16,
  kBf16,
  kFp32,
  kFp64,
};

[[nodiscard]] std::size_t size_of(Dtype dtype);
[[nodiscard]] std::string_view name_of(Dtype dtype);
[[nodiscard]] std::optional<Dtype> find_dtype(std::string_view oip_name);

using Shape = std::vector<std::int64_t>;

/// Product of the dimensions; kOverflow if one is negative or the product exceeds
/// limits::kTensorElementsMax.
[[nodiscard]] Result<std::uint64_t> element_count(const Shape& shape);

struct Tensor {
  std::string name;
  Dtype dtype = Dtype::kFp32;
  Shape shape;
  std::vector<std::uint8_t>
      data;  ///< row-major, little-endian, element_count(shape)*size_of(dtype)
};

}  // namespace mlxguard::validate
