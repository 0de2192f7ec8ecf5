// SPDX-License-Identifier: Apache-2.0
// Parses a safetensors header into a TensorIndex.
// Input: bytes chosen by an attacker (signed ones, but a signer can be fooled). Output: every
// tensor in bounds, disjoint, without gaps, of the size that its shape says. Stricter than mlx
// 0.32.4, which takes products that wrap to 0, negative dimensions, dimensions cut to 32 bits,
// repeated names, and two tensors over the same bytes.
#pragma once

#include "format/tensor_index.h"

namespace mlxguard::format {

/// `file` is the whole file; only the header is read. Errors: kSafetensorsHeader,
/// kSafetensorsDtype, kSafetensorsShape, kSafetensorsOffsets, kSafetensorsDuplicate, with `subject`
/// the tensor's name.
[[nodiscard]] Result<TensorIndex> parse_safetensors(Bytes file);

}  // namespace mlxguard::format
