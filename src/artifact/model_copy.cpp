// SPDX-License-Identifier: Apache-2.0
// Copies a model into a folder of ours: each byte is read once, hashed, and written; the copy is
// durable and read-only before it counts.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "artifact/digest_run.h"
#include "artifact/model_folder.h"
#include "base/os_error.h"

namespace mlxguard::artifact {
namespace {

/// Makes the folders above `name`; the destination is ours alone, so a race is a broken promise.
Result<void> make_folders(int root, const std::string& name) {
  for (std::size_t end = name.find('/'); end != std::string::npos; end = name.find('/', end + 1)) {
    const std::string folder = name.substr(0, end);
    if (::mkdirat(root, folder.c_str(), 0700) != 0 && errno != EEXIST) {
      return os_error("create", folder);
    }
  }
  return {};
}

class FolderSink final : public ByteSink {
 public:
  FolderSink(int root, std::span<const FileEntry> files, std::string single_name)
      : root_(root), files_(files), single_name_(std::move(single_name)) {}
  [[nodiscard]] bool keeps_in_memory() const override { return false; }
  [[nodiscard]] Result<Target> begin(std::size_t file) override {
    const std::string& name = files_[file].name == "." ? single_name_ : files_[file].name;
    MLXGUARD_TRY(make_folders(root_, name));
    UniqueFd fd(
        ::openat(root_, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd.is_open()) return os_error("create", name);
    return Target(std::move(fd));
  }
  [[nodiscard]] Result<void> finish(std::size_t file, Target target) override {
    const UniqueFd fd = std::move(std::get<UniqueFd>(target));
    if (::fchmod(fd.get(), 0400) != 0) return os_error("protect", files_[file].name);
    if (::fsync(fd.get()) != 0) return os_error("sync", files_[file].name);
    return {};
  }

 private:
  int root_;
  std::span<const FileEntry> files_;
  std::string single_name_;
};

}  // namespace

Result<std::vector<FileDigest>> ModelFolder::copy_to(const UniqueFd& destination,
                                                     std::span<const FileEntry> files,
                                                     HashPlan plan,
                                                     const Progress& progress) const {
  FolderSink sink(destination.get(), files, base_name_);
  DigestTask task;
  task.files = files;
  task.plan = plan;
  task.open = [this](const std::string& name) { return open_file(name); };
  task.sink = &sink;
  task.progress = &progress;
  MLXGUARD_TRY_ASSIGN(DigestOutcome outcome, run_digests(task));
  return std::move(outcome.digests);
}

}  // namespace mlxguard::artifact
