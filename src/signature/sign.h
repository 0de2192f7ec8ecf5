// SPDX-License-Identifier: Apache-2.0
// Signing: a model's files -> statement -> bundle. The bundle's file is replaced in one step.
#pragma once

#include <filesystem>
#include <string>

#include "artifact/model_folder.h"
#include "base/result.h"
#include "crypto/ec_key.h"

namespace mlxguard::signature {

struct SignedModel {
  std::string bundle;  ///< the text of model.sig
  std::string root_digest;
  std::size_t files = 0;
  std::uint64_t bytes = 0;
};

/// Hashes every file (SHA-256, in the specification's order) and signs. Errors: the artifact codes.
[[nodiscard]] Result<SignedModel> sign_model(const artifact::ModelFolder& folder,
                                             const crypto::EcPrivateKey& key,
                                             const artifact::Progress& progress = {});

/// Puts the bundle in its place: written without a name (O_TMPFILE), made durable, linked, renamed. A
/// kill or a full disk leaves the old bundle or the new one.
[[nodiscard]] Result<std::filesystem::path> write_bundle_file(const std::filesystem::path& model,
                                                              bool is_single_file,
                                                              const std::string& bundle);

}  // namespace mlxguard::signature
