// SPDX-License-Identifier: Apache-2.0
// Between validate::Tensor, the form of requests and answers, and mlx arrays.
#pragma once

#include <mlx/array.h>

#include <optional>

#include "base/result.h"
#include "validate/tensor.h"

namespace mlxguard::engine {

[[nodiscard]] mlx::core::Dtype to_mlx(validate::Dtype dtype);
/// Nothing for what has no name in the Open Inference Protocol (complex numbers).
[[nodiscard]] std::optional<validate::Dtype> from_mlx(mlx::core::Dtype dtype);

/// Copies. The tensor must have been checked: its size matches its shape, every extent fits an
/// int32.
[[nodiscard]] mlx::core::array to_array(const validate::Tensor& tensor);

/// Copies an array that was evaluated and is row-contiguous. Errors: kOutputInvalid for a type
/// without a name.
[[nodiscard]] Result<validate::Tensor> to_tensor(std::string name, const mlx::core::array& array);

}  // namespace mlxguard::engine
