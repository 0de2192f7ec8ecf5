// SPDX-License-Identifier: Apache-2.0
// Snapshot: a file's bytes are read once, into memory that only this process can reach, hashed
// there, and sealed. What was hashed is what is kept: nobody else holds the memory before it is
// immutable.
#include <sys/resource.h>

#include <algorithm>

#include "artifact/digest_run.h"
#include "artifact/model_folder.h"

namespace mlxguard::artifact {
namespace {

/// Descriptors for everything that a process has open besides the files of a model.
constexpr rlim_t kOtherDescriptors = 256;

/// Every file of a snapshot is a descriptor. A process may raise its own soft limit up to the hard
/// one; where that does not do, making the memory says so.
void make_room_for_descriptors(std::size_t count) {
  rlimit open_files{};
  if (::getrlimit(RLIMIT_NOFILE, &open_files) != 0) return;
  const rlim_t wanted = open_files.rlim_cur + count + kOtherDescriptors;
  open_files.rlim_cur = std::min(wanted, open_files.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &open_files);
}

class MemorySink final : public ByteSink {
 public:
  explicit MemorySink(std::span<const FileEntry> files) : files_(files), sealed_(files.size()) {}
  [[nodiscard]] bool keeps_in_memory() const override { return true; }
  [[nodiscard]] Result<Target> begin(std::size_t file) override {
    MLXGUARD_TRY_ASSIGN(auto memory,
                        SealedMemory::create(files_[file].name, files_[file].size_bytes));
    return Target(std::move(memory));
  }
  [[nodiscard]] Result<void> finish(std::size_t file, Target target) override {
    MLXGUARD_TRY_ASSIGN(sealed_[file], std::move(std::get<SealedMemory>(target)).seal());
    return {};
  }
  std::vector<SnapshotFile> take() && {
    std::vector<SnapshotFile> held(files_.size());
    for (std::size_t i = 0; i < files_.size(); ++i) {
      held[i].name = files_[i].name;
      held[i].size_bytes = files_[i].size_bytes;
      held[i].memory = std::move(sealed_[i]);
    }
    return held;
  }

 private:
  std::span<const FileEntry> files_;
  std::vector<UniqueFd> sealed_;
};

struct Held {
  std::vector<SnapshotFile> files;
  DigestOutcome outcome;
};

Result<Held> hold(DigestTask task) {
  make_room_for_descriptors(task.files.size());
  MemorySink sink(task.files);
  task.sink = &sink;
  MLXGUARD_TRY_ASSIGN(DigestOutcome outcome, run_digests(task));
  return Held{std::move(sink).take(), std::move(outcome)};
}

}  // namespace

Result<std::vector<SnapshotFile>> ModelFolder::snapshot(std::span<const FileEntry> files,
                                                        HashPlan plan,
                                                        std::vector<FileDigest>& digests,
                                                        const Progress& progress) const {
  DigestTask task;
  task.files = files;
  task.plan = plan;
  task.open = [this](const std::string& name) { return open_file(name); };
  task.progress = &progress;
  MLXGUARD_TRY_ASSIGN(Held held, hold(std::move(task)));
  digests = std::move(held.outcome.digests);
  if (plan.algorithm == crypto::HashAlgorithm::kSha256 && plan.shard_bytes == 0) {
    for (std::size_t i = 0; i < held.files.size(); ++i) {
      std::copy(digests[i].digest.begin(), digests[i].digest.end(), held.files[i].digest.begin());
    }
  }
  return std::move(held.files);
}

Result<std::vector<SnapshotFile>> ModelFolder::snapshot_unhashed(
    std::span<const FileEntry> files, std::vector<std::optional<FileIdentity>>& identities,
    const Progress& progress) const {
  DigestTask task;
  task.files = files;
  task.digesting = Digesting::kCopyOnly;
  task.open = [this](const std::string& name) { return open_file(name); };
  task.progress = &progress;
  MLXGUARD_TRY_ASSIGN(Held held, hold(std::move(task)));
  identities = std::move(held.outcome.identities);
  return std::move(held.files);
}

}  // namespace mlxguard::artifact
