// SPDX-License-Identifier: Apache-2.0
// Between the library's own error and that of the public headers.
#pragma once

#include "base/result.h"
#include "mlxguard/error.h"

namespace mlxguard::api {

[[nodiscard]] v1::Error convert(const Error& error);

}  // namespace mlxguard::api
