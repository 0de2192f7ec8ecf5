// SPDX-License-Identifier: Apache-2.0
// A tensor as the Open Inference Protocol writes it in JSON: name, shape, datatype, flat data.
#pragma once

#include "codec/json.h"
#include "validate/tensor.h"

namespace mlxguard::validate {

/// Writes the object. The tensor's data must have the size of its shape and type (check_outputs).
void write_tensor(codec::JsonWriter& writer, const Tensor& tensor);

}  // namespace mlxguard::validate
