// SPDX-License-Identifier: Apache-2.0
// Functions exported by mx.export_function (.mlxfn). The file says nothing about its inputs that
// can be trusted, and a shapeless one reads out of bounds when given other shapes; so the signed
// manifest mlxguard.json names them, and only validated inputs arrive here. Trusted: the signer's
// manifest. A manifest that allows shapes the function cannot take is the signer's error; the first
// call, at load, finds it only for the smallest shape.
#pragma once

#include "engine/engine.h"

namespace mlxguard::engine {

inline constexpr std::string_view kFunctionManifestName = "mlxguard.json";

/// Errors: kManifestInvalid (also when the function does not take or give what the manifest says),
/// kMlxfn when the file is malformed, kEngineLoad when mlx cannot import it.
[[nodiscard]] Result<std::unique_ptr<Model>> load_function(const signature::VerifiedModel& model);

}  // namespace mlxguard::engine
