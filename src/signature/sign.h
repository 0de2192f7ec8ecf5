// SPDX-License-Identifier: Apache-2.0
// Signing: a model's files -> digests -> statement -> bundle. Writes nothing: put_bundle_file()
// does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "artifact/model_folder.h"
#include "base/result.h"
#include "crypto/ec_key.h"

namespace mlxguard::signature {

struct SignOptions {
  /// Paths below the root that the signature does not cover, besides the default ones.
  std::vector<std::string> ignored{};
  artifact::Progress progress{};
};

struct SignedModel {
  std::string bundle;  ///< text of the bundle
  std::string root_digest;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// Hashes every file (SHA-256, in the specification's order: bytes of UTF-8) and signs the list.
/// Errors: kUsage for an ignored path that is none, kArtifactName for a name that no verifier of
/// ours would take, those of ModelFolder, kCrypto.
[[nodiscard]] Result<SignedModel> sign_model(const artifact::ModelFolder& folder,
                                             const crypto::Signer& key,
                                             const SignOptions& options = {});

}  // namespace mlxguard::signature
