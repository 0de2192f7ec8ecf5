// SPDX-License-Identifier: Apache-2.0
#include "format/shape.h"

#include <algorithm>

#include "base/checked.h"
#include "base/limits.h"

namespace mlxguard::format {

std::optional<std::uint64_t> element_count(std::span<const std::int64_t> shape) {
  std::uint64_t elements = 1;
  bool is_empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    is_empty = is_empty || extent == 0;
    const auto product =
        checked_mul(elements, static_cast<std::uint64_t>(std::max<std::int64_t>(extent, 1)));
    if (!product || *product > limits::kTensorElementsMax) return std::nullopt;
    elements = *product;
  }
  return is_empty ? 0 : elements;
}

}  // namespace mlxguard::format
