// SPDX-License-Identifier: Apache-2.0
// The worker's part of the request line, one function: a message from the gateway becomes the
// packet that answers it. The gateway validated the request; it may be compromised, so nothing is
// believed.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "engine/engine.h"
#include "wire/channel.h"

namespace mlxguard::worker {

/// Never an error for what a client could cause: that is a RequestFailed packet.
/// Errors: kWorkerProtocol for a message that is no request (the gateway's channel is then closed).
[[nodiscard]] Result<wire::Packet> run_line(engine::Model& model, const wire::Received& received,
                                           const Clock& clock);

}  // namespace mlxguard::worker
