// SPDX-License-Identifier: Apache-2.0
// The engine: turns a VerifiedModel into something that runs, and is the only folder that knows
// mlx. It stands at the end of the model line and inside the request line, in the worker. The
// model's bytes are signed and immutable; inputs are validated; what mlx throws stops here.
#pragma once

#include <memory>

#include "base/result.h"
#include "signature/verified_model.h"
#include "task/model.h"

namespace mlxguard::engine {

using task::Model;

/// The kind of model is told by its files: mlxguard.json makes it a function, config.json a model
/// of one of the architectures in engine/architectures.h. Runs the model once before it answers.
/// Needs prepare_runtime and start_runtime (engine/runtime.h) to have been called.
/// Errors: kFormatUnknown, kManifestInvalid, kConfigInvalid, kTokenizer, kSafetensors*, kTensor*,
/// kEngineLoad, kEngineReader.
[[nodiscard]] Result<std::unique_ptr<Model>> load(const signature::VerifiedModel& model);

}  // namespace mlxguard::engine
