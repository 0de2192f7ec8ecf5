// SPDX-License-Identifier: Apache-2.0
// The `data` member of a tensor in JSON, turned into the bytes of its type.
// Input: JSON chosen by a client. Nothing grows beyond what was sent.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "codec/json.h"
#include "validate/schema.h"

namespace mlxguard::validate {

/// Flat, or nested exactly as `shape` says; every element of `spec`'s type and within what it can
/// hold. Errors, about the tensor: kRequestType, kRequestShape, kRequestCount, kRequestRange.
[[nodiscard]] Result<std::vector<std::uint8_t>> tensor_data_of(const TensorSpec& spec,
                                                               const codec::JsonValue& value,
                                                               const Shape& shape);

}  // namespace mlxguard::validate
