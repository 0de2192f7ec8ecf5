// SPDX-License-Identifier: Apache-2.0
// The inspector's loop: a file in, its findings out, until the parent is gone.
#pragma once

#include "base/result.h"
#include "wire/channel.h"
#include "sandbox/isolation.h"

namespace mlxguard::inspector {

/// Ends with kWorkerUnavailable when the parent has closed the channel; anything else is a failure.
[[nodiscard]] Result<void> serve(wire::Channel control, const sandbox::IsolationReport& isolation);

}  // namespace mlxguard::inspector
