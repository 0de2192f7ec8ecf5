// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include "engine/architectures.h"
#include "engine/function.h"

namespace mlxguard::engine {

Result<std::vector<validate::Tensor>> Model::run(validate::ValidatedInputs) {
  return make_error(ErrorCode::kRequestType, "this model takes text, not tensors");
}

Result<Embeddings> Model::embed(std::span<const std::string>, Deadline) {
  return make_error(ErrorCode::kRequestType, "this model takes tensors, not text");
}

Result<std::unique_ptr<Model>> load(const signature::VerifiedModel& model) {
  if (model.find(kFunctionManifestName) != nullptr) return load_function(model);
  if (model.find(kArchitectureConfigName) != nullptr) return load_architecture(model);
  return make_error(ErrorCode::kFormatUnknown, "expected mlxguard.json or config.json")
      .about(model.name())
      .hinting("an exported function needs a mlxguard.json beside it that names its inputs");
}

}  // namespace mlxguard::engine
