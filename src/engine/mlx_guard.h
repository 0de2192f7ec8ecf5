// SPDX-License-Identifier: Apache-2.0
// Where mlx's exceptions stop. std::bad_alloc is let through: nothing catches it, the worker dies,
// and the supervisor answers for it. What is no std::exception is not ours to understand and ends
// the same.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "base/result.h"

namespace mlxguard::engine {

/// Calls `function`, which returns a Result, and turns what it throws into an error of this code.
template <class F>
auto stop_exceptions(ErrorCode code, F&& function) -> decltype(function()) {
  try {
    return std::forward<F>(function)();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& exception) {
    return make_error(code, std::string("mlx: ") + exception.what());
  }
}

}  // namespace mlxguard::engine
