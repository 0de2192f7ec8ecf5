// SPDX-License-Identifier: Apache-2.0
// The table of architectures: which model_type of a config.json is built by which function.
// A new architecture is one file, its test, and one row.
#pragma once

#include <span>
#include <string_view>

#include "engine/engine.h"

namespace mlxguard::engine {

inline constexpr std::string_view kArchitectureConfigName = "config.json";

struct ArchitectureRow {
  std::string_view model_type;  ///< as config.json names it
  Result<std::unique_ptr<Model>> (*load)(const signature::VerifiedModel& model);
  std::string_view meaning;
};

[[nodiscard]] std::span<const ArchitectureRow> architectures();

/// Looks config.json's model_type up and builds the model. Errors: kConfigInvalid, kFormatUnknown,
/// and what the row's function answers.
[[nodiscard]] Result<std::unique_ptr<Model>> load_architecture(
    const signature::VerifiedModel& model);

}  // namespace mlxguard::engine
