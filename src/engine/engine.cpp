// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include "engine/architectures.h"
#include "engine/function.h"

namespace mlxguard::engine {

Result<std::unique_ptr<Model>> load(const signature::VerifiedModel& model) {
  if (model.find(kFunctionManifestName) != nullptr) return load_function(model);
  if (model.find(kArchitectureConfigName) != nullptr) return load_architecture(model);
  return make_error(ErrorCode::kFormatUnknown, "expected mlxguard.json or config.json")
      .about(model.name())
      .hinting("an exported function needs a mlxguard.json beside it that names its inputs");
}

}  // namespace mlxguard::engine
