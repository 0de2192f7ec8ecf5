// SPDX-License-Identifier: Apache-2.0
// Signing: a model's files -> digests -> statement -> bundle. Writes nothing: put_bundle_file()
// does.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "artifact/digest_cache.h"
#include "artifact/model_folder.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/certificate.h"
#include "crypto/ec_key.h"
#include "signature/statement.h"

namespace mlxguard::signature {

struct SignOptions {
  /// Paths below the root that the signature does not cover, besides the default ones.
  std::vector<std::string> ignored{};
  Exclusions exclusions = Exclusions::kDefaultAndStated;
  /// Below the root, where the bundle will stand: what a killed signer left of it is no file of the
  /// model.
  std::string bundle_file{artifact::kSignatureFile};
  artifact::Progress progress{};
  /// The digest, and whether it is over files or shards.
  artifact::HashPlan plan{};
  /// Digests of an earlier signature: what did not change is not hashed again. Updated, not saved.
  artifact::DigestCache* cache = nullptr;
  /// Of the signing key, in DER, the leaf first: goes into the bundle in place of the key's
  /// fingerprint.
  std::vector<std::vector<std::uint8_t>> certificates{};
  /// What another signer signed: this signature has to say the same.
  const Statement* same_as = nullptr;
};

struct SignedModel {
  std::string bundle;  ///< text of the bundle
  std::string root_digest;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t hashed_bytes = 0;  ///< less than `bytes` if a cache knew the others
  RootDigests root_digests;
};

/// Hashes every file, links followed as `folder` says, and signs the list, in the specification's
/// order: bytes of UTF-8. An empty file is listed also with the method `shards` (`name:0:0`; the
/// specification leaves it out, so that an empty file added later could not be told from a signed
/// one). Errors: kUsage for an ignored path that is none, kArtifactName for a name that no verifier
/// of ours would take, kArtifactChanged for a file that was touched while it was hashed,
/// kRootDigest if the files are not what `same_as` says, those of ModelFolder, kCrypto.
[[nodiscard]] Result<SignedModel> sign_model(const artifact::ModelFolder& folder,
                                             const crypto::Signer& key,
                                             const SignOptions& options = {});

/// SignOptions::certificates of this chain, the leaf first; none of an empty one. A bundle that
/// nobody would take is not written: kCertificateInvalid if the leaf is of another key, and those
/// of Certificate::check_may_sign().
[[nodiscard]] Result<std::vector<std::vector<std::uint8_t>>> certificates_for(
    std::span<const crypto::Certificate> chain, const crypto::EcPublicKey& key, WallTime now);

}  // namespace mlxguard::signature
