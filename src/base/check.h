// SPDX-License-Identifier: Apache-2.0
// MLXGUARD_CHECK: a broken invariant of our own code aborts, in every build. Never used to judge
// input.
#pragma once

namespace mlxguard {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace mlxguard

#define MLXGUARD_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::mlxguard::check_failed(#condition, __FILE__, __LINE__))
