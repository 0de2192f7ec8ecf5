// SPDX-License-Identifier: Apache-2.0
// How many elements a shape from a file has, without a product that wraps.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace mlxguard::format {

/// The number of elements; nothing if a dimension is negative or the product exceeds
/// kTensorElementsMax. A zero makes it zero wherever it stands, but must not hide a product (of
/// strides, in mlx) that wraps: the others are multiplied all the same.
[[nodiscard]] std::optional<std::uint64_t> element_count(std::span<const std::int64_t> shape);

}  // namespace mlxguard::format
