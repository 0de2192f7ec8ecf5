// SPDX-License-Identifier: Apache-2.0
// Where a task is asked over HTTP, and whose form its answers and errors take there.
#pragma once

#include <cstdint>
#include <string_view>

namespace mlxguard::task {

enum class Protocol : std::uint8_t { kOpenAi, kInference };

/// A path that takes POST. "{model}" stands for one segment, the model's name; a path without it
/// finds the model's name in the body.
struct Route {
  std::string_view pattern;
  Protocol protocol;
  [[nodiscard]] bool names_model() const {
    return pattern.find("{model}") != std::string_view::npos;
  }
};

}  // namespace mlxguard::task
