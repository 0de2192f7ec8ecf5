// SPDX-License-Identifier: Apache-2.0
// Operations of our own in mlx's graph: what mlx computes one number at a time on x86, computed by
// cpu_kernels.h. They have no gradients and run on the CPU stream only.
#pragma once

#include <mlx/array.h>

#include <vector>

namespace mlxguard::engine {

/// x * (1 + erf(x / sqrt(2))) / 2 of a float32 array.
[[nodiscard]] mlx::core::array gelu_op(const mlx::core::array& x);

/// Softmax along the last axis of scale * scores, a float32 array [batch, heads, queries, keys],
/// where row b of the batch has lengths[b] keys (1 to keys); beyond them the result is 0.
[[nodiscard]] mlx::core::array masked_softmax_op(const mlx::core::array& scores,
                                                 std::vector<int> lengths, float scale);

}  // namespace mlxguard::engine
