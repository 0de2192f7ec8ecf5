// SPDX-License-Identifier: Apache-2.0
// Hashing in place: each file is read once, in bounded buffers, and nothing is kept.
#include "artifact/digest_run.h"
#include "artifact/model_folder.h"

namespace mlxguard::artifact {

Result<std::vector<FileDigest>> ModelFolder::hash(
    std::span<const FileEntry> files, HashPlan plan, const Progress& progress,
    std::vector<std::optional<FileIdentity>>* identities) const {
  DigestTask task;
  task.files = files;
  task.plan = plan;
  task.open = [this](const std::string& name) { return open_file(name); };
  task.progress = &progress;
  MLXGUARD_TRY_ASSIGN(DigestOutcome outcome, run_digests(task));
  if (identities != nullptr) *identities = std::move(outcome.identities);
  return std::move(outcome.digests);
}

Result<FileIdentity> ModelFolder::identify(const std::string& name) const {
  MLXGUARD_TRY_ASSIGN(const UniqueFd fd, open_file(name));
  return identity_of(fd.get());
}

Result<Writers> ModelFolder::writers(const std::string& name) const {
  MLXGUARD_TRY_ASSIGN(const UniqueFd fd, open_file(name));
  return writers_of(fd.get());
}

}  // namespace mlxguard::artifact
