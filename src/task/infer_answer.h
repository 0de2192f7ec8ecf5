// SPDX-License-Identifier: Apache-2.0
// What every answer over the Open Inference Protocol begins and ends with.
#pragma once

#include <string_view>

#include "codec/json.h"
#include "validate/decode_infer.h"

namespace mlxguard::task {

inline constexpr std::string_view kModelVersion = "1";  ///< the only one there is of a model

inline void begin_infer_answer(codec::JsonWriter& writer, std::string_view model,
                               const validate::InferEnvelope& envelope) {
  writer.begin_object().field("model_name", model).field("model_version", kModelVersion);
  if (!envelope.id.empty()) writer.field("id", envelope.id);
  writer.key("outputs").begin_array();
}

inline void end_infer_answer(codec::JsonWriter& writer) { writer.end_array().end_object(); }

}  // namespace mlxguard::task
