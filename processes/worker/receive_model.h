// SPDX-License-Identifier: Apache-2.0
// Takes the model that the supervisor sends over the control channel. The supervisor verified it;
// that every descriptor is sealed is checked here again, since everything later rests on it.
#pragma once

#include "base/result.h"
#include "wire/channel.h"
#include "signature/verified_model.h"

namespace mlxguard::worker {

struct ReceivedModel {
  signature::VerifiedModel model;
  std::uint32_t threads = 1;
};

/// Waits for LoadModel and all of its ModelFiles. Errors: kWorkerProtocol, kWorkerSeals,
/// kWorkerUnavailable when the supervisor is gone.
[[nodiscard]] Result<ReceivedModel> receive_model(wire::Channel& control);

}  // namespace mlxguard::worker
