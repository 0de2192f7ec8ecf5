// SPDX-License-Identifier: Apache-2.0
// The task "embeddings": texts in, one vector a text out. Asked as OpenAI's clients do, or over the
// Open Inference Protocol. The answer is one part; the worker makes it one batch a step.
#pragma once

#include "task/table.h"

namespace mlxguard::task {

[[nodiscard]] Row embeddings_row();

}  // namespace mlxguard::task
