// SPDX-License-Identifier: Apache-2.0
// The JSON of every answer that only tells what is served, in each protocol's form.
#pragma once

#include <string>

#include "front/models.h"

namespace mlxguard::front {

// OpenAI
[[nodiscard]] std::string openai_models_body(const Models& models);
[[nodiscard]] std::string openai_model_body(const Model& model);

// Open Inference Protocol
[[nodiscard]] std::string server_metadata_body();
[[nodiscard]] std::string live_body();
[[nodiscard]] std::string ready_body();
[[nodiscard]] std::string model_metadata_body(const Model& model);
[[nodiscard]] std::string model_ready_body(const Model& model);

}  // namespace mlxguard::front
