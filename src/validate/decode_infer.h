// SPDX-License-Identifier: Apache-2.0
// The body of POST /v2/models/NAME/infer (Open Inference Protocol v2, JSON), decoded by the model's
// schema. Input: bytes chosen by a client. Output: tensors whose bytes are what their shape and
// type say; values and extents are for check_inputs. Errors never repeat what they found: it is the
// client's content.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "validate/schema.h"
#include "validate/text_rules.h"

namespace mlxguard::validate {

/// What a request says beside its tensors.
struct InferEnvelope {
  std::string id;                    ///< returned to the client; empty if none was given
  std::vector<std::size_t> outputs;  ///< indices into the schema's outputs, in the order asked for
};

struct InferRequest {
  InferEnvelope envelope;
  std::vector<Tensor> inputs;
};

struct TextInferRequest {
  InferEnvelope envelope;
  std::vector<std::string> texts;  ///< not yet checked: check_texts
};

/// The tensors an embedding model shows over this protocol.
inline constexpr std::string_view kTextInputName = "text";
inline constexpr std::string_view kEmbeddingOutputName = "embedding";

/// For a kFunction model. `data` is flat, or nested exactly as `shape` says. The binary tensor
/// extension is refused. Errors: the codec's for JSON, kRequestSyntax, kRequestMissing,
/// kRequestUnknown, kRequestType, kRequestShape, kRequestCount, kRequestRange (a number that the
/// type cannot hold).
[[nodiscard]] Result<InferRequest> decode_infer_request(std::string_view body,
                                                        const ModelSchema& schema);

/// For a kEmbedding model: one BYTES input `text` of shape [n]. Errors as above, and
/// kRequestTooLarge.
[[nodiscard]] Result<TextInferRequest> decode_text_infer_request(std::string_view body,
                                                                 const TextLimits& limits);

}  // namespace mlxguard::validate
