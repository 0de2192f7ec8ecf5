// SPDX-License-Identifier: Apache-2.0
#include "signature/verified_model.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/os_error.h"

namespace mlxguard::signature {
namespace {

constexpr int kEverySeal = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

Error seals_error(const std::string& name, std::string message) {
  return make_error(ErrorCode::kWorkerSeals, std::move(message)).about(name);
}

Result<void> check_immutable(const artifact::SnapshotFile& file) {
  // Only memory files have seals: F_GET_SEALS fails on every other kind of descriptor.
  const int seals = ::fcntl(file.memory.get(), F_GET_SEALS);
  if (seals < 0) return seals_error(file.name, "expected a sealed memory file");
  if ((seals & kEverySeal) != kEverySeal) {
    return seals_error(file.name, "expected a memory file with every seal set")
        .compared(std::to_string(kEverySeal), std::to_string(seals));
  }
  struct stat status {};
  if (::fstat(file.memory.get(), &status) != 0) return os_error("stat", file.name);
  if (status.st_size < 0 || static_cast<std::uint64_t>(status.st_size) != file.size_bytes) {
    return seals_error(file.name, "expected a memory file of the announced size")
        .compared(std::to_string(file.size_bytes), std::to_string(status.st_size));
  }
  return {};
}

}  // namespace

const artifact::SnapshotFile* VerifiedModel::find(std::string_view name) const {
  const auto found = std::lower_bound(files_.begin(), files_.end(), name,
                                      [](const artifact::SnapshotFile& file,
                                         std::string_view wanted) { return file.name < wanted; });
  return found != files_.end() && found->name == name ? &*found : nullptr;
}

Result<VerifiedModel> VerifiedModel::receive(std::string name, std::string root_digest,
                                             std::vector<artifact::SnapshotFile> files) {
  for (const artifact::SnapshotFile& file : files) MLXGUARD_TRY(check_immutable(file));
  std::sort(files.begin(), files.end(),
            [](const auto& left, const auto& right) { return left.name < right.name; });
  const auto same = std::adjacent_find(
      files.begin(), files.end(),
      [](const auto& left, const auto& right) { return left.name == right.name; });
  if (same != files.end()) return seals_error(same->name, "a file was received twice");
  VerifiedModel model;
  model.name_ = std::move(name);
  model.root_digest_ = std::move(root_digest);
  model.files_ = std::move(files);
  return model;
}

}  // namespace mlxguard::signature
