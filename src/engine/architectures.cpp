// SPDX-License-Identifier: Apache-2.0
#include "engine/architectures.h"

#include <array>

#include "engine/bert.h"
#include "engine/model_file.h"

namespace mlxguard::engine {
namespace {

constexpr std::array kArchitectures{
    ArchitectureRow{"bert", load_bert, "BERT-family sentence embeddings"},
};

}  // namespace

std::span<const ArchitectureRow> architectures() { return kArchitectures; }

Result<std::unique_ptr<Model>> load_architecture(const signature::VerifiedModel& model) {
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument config, read_json(model, kArchitectureConfigName));
  const auto type_value = config.root().find("model_type");
  const auto type = type_value ? type_value->as_string() : make_error(ErrorCode::kJsonMissing, "");
  if (!type) {
    return make_error(ErrorCode::kConfigInvalid, "expected a string model_type")
        .about(std::string(kArchitectureConfigName));
  }
  for (const ArchitectureRow& row : kArchitectures) {
    if (row.model_type == *type) return row.load(model);
  }
  return make_error(ErrorCode::kFormatUnknown, "no engine for this model_type")
      .about(std::string(kArchitectureConfigName));
}

}  // namespace mlxguard::engine
