// SPDX-License-Identifier: Apache-2.0
// The value of arithmetic over constants in a template: 10**9, 999 * 999. As a double, which
// saturates to infinity; NaN stands for "not constant". Bounded recursion.
#pragma once

#include <vector>

#include "inspect/template_tokens.h"

namespace mlxguard::inspect {

/// The arguments between the bracket at `open` and its partner; NaN for those that are not
/// constant.
[[nodiscard]] std::vector<double> constant_arguments(const std::vector<Token>& tokens,
                                                     std::size_t open);
/// The constant factor that begins at `at` (10, (2 + 3), 10**9); NaN if it is not constant.
[[nodiscard]] double constant_operand(const std::vector<Token>& tokens, std::size_t at);
/// The constant product or power whose operator is at `at`, from its nearest operand; NaN if not
/// constant.
[[nodiscard]] double constant_around(const std::vector<Token>& tokens, std::size_t at);

}  // namespace mlxguard::inspect
