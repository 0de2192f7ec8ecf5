// SPDX-License-Identifier: Apache-2.0
// The worker's life after its lock: say so, take the model, load it, answer requests one at a time.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "wire/channel.h"
#include "sandbox/isolation.h"

namespace mlxguard::worker {

/// Returns when the supervisor is gone. An error is a breach of the control protocol; a model that
/// cannot be loaded is told to the supervisor and is none.
[[nodiscard]] Result<void> serve(wire::Channel control, const sandbox::IsolationReport& isolation,
                                 const Clock& clock);

}  // namespace mlxguard::worker
