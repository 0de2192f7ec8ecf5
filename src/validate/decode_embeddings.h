// SPDX-License-Identifier: Apache-2.0
// The body of POST /v1/embeddings, as OpenAI's clients send it.
// Input: bytes chosen by a client. Errors never repeat what they found: it is the client's content.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "validate/text_rules.h"

namespace mlxguard::validate {

enum class EncodingFormat : std::uint8_t { kFloat, kBase64 };

struct EmbeddingsRequest {
  std::string model;
  std::vector<std::string> texts;  ///< not yet checked: check_texts
  EncodingFormat encoding_format = EncodingFormat::kFloat;
  std::optional<std::int64_t> dimensions;  ///< to be equal to the model's
};

/// Members: model, input (a string or an array of strings), encoding_format, dimensions, user; any
/// other is refused. Errors: the codec's for JSON, kRequestSyntax, kRequestMissing,
/// kRequestUnknown, kRequestType, kRequestRange, kRequestTooLarge; `subject` is the member.
enum class ModelMember : std::uint8_t {
  kRequired,
  kOptional,  ///< where the command line names the model
};

[[nodiscard]] Result<EmbeddingsRequest> decode_embeddings_request(
    std::string_view body, const TextLimits& limits,
    ModelMember model_member = ModelMember::kRequired);

}  // namespace mlxguard::validate
