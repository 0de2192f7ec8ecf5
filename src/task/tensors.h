// SPDX-License-Identifier: Apache-2.0
// The task "tensors": named tensors in, named tensors out, over the Open Inference Protocol. The
// answer is one part, and the worker makes it in one step: mlx runs a function as a whole.
#pragma once

#include "task/table.h"

namespace mlxguard::task {

[[nodiscard]] Row tensors_row();

}  // namespace mlxguard::task
