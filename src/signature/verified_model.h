// SPDX-License-Identifier: Apache-2.0
// VerifiedModel: proof that these immutable bytes were signed by a trusted key. It cannot be made
// without verifying, or, inside a worker, without receiving sealed descriptors from the supervisor.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "artifact/snapshot.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mlxguard::signature {

class VerifiedModel {
 public:
  /// Name under which the model is served.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Lowercase hex SHA-256 over the signed resource digests: the model's identity.
  [[nodiscard]] const std::string& root_digest() const { return root_digest_; }
  /// SHA-256 (hex) of the signer's public key in PEM: the bundle's hint. Empty inside a worker.
  [[nodiscard]] const std::string& signer() const { return signer_; }
  /// Sealed files, sorted by name. The bundle itself is not among them.
  [[nodiscard]] std::span<const artifact::SnapshotFile> files() const { return files_; }
  [[nodiscard]] const artifact::SnapshotFile* find(std::string_view name) const;
  /// A lock that lasts as long as this model is held: the store does not remove what is in use.
  void keep(UniqueFd lock) { kept_ = std::move(lock); }

  /// Inside a worker: takes descriptors that came over the supervisor's channel, and proves of each
  /// that it is a memfd with every seal set and of the announced size. Errors: kWorkerSeals.
  [[nodiscard]] static Result<VerifiedModel> receive(std::string name, std::string root_digest,
                                                     std::vector<artifact::SnapshotFile> files);

 private:
  friend class Verifier;  // signature/verify.h: the only other maker
  VerifiedModel() = default;
  std::string name_;
  std::string root_digest_;
  std::string signer_;
  std::vector<artifact::SnapshotFile> files_;
  UniqueFd kept_;
};

}  // namespace mlxguard::signature
