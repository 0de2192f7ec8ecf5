// SPDX-License-Identifier: Apache-2.0
// Between the library's own error and that of the public headers.
#pragma once

#include <vector>

#include "base/result.h"
#include "mlxguard/error.h"
#include "trust/policy.h"

namespace mlxguard::api {

[[nodiscard]] v1::Error convert(const Error& error);
/// Conditions that failed, of a model that was let through all the same.
[[nodiscard]] std::vector<v1::Error> warnings_in(const trust::Judgement& judgement);

}  // namespace mlxguard::api
