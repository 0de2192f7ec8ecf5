// SPDX-License-Identifier: Apache-2.0
#include "artifact/model_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <unordered_set>

#include "artifact/safe_open.h"
#include "base/limits.h"
#include "base/file.h"
#include "base/os_error.h"
#include "codec/text.h"

namespace mlxguard::artifact {
namespace {

constexpr std::string_view kSingleFile = ".";

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using OpenFolder = std::unique_ptr<DIR, CloseFolder>;

bool is_portable(std::string_view name) {
  return codec::is_utf8(name) && std::none_of(name.begin(), name.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
         });
}

/// The bundle of a further signer, or what a killed one left of it. What else lies in their folder
/// is a file of the model like any other.
bool is_further_bundle(std::string_view name) {
  if (!name.starts_with(kMoreSignaturesFolder) || name.size() < kMoreSignaturesFolder.size() + 2) {
    return false;
  }
  name.remove_prefix(kMoreSignaturesFolder.size());
  if (name.front() != '/' || name.find('/', 1) != std::string_view::npos) return false;
  return name.ends_with(".sig") || (name[1] == '.' && name.ends_with(".sig.new"));
}

/// One walk over the tree, without recursion: what is still to be read is a list, so depth costs
/// memory that is bounded and no stack.
class Walk {
 public:
  Walk(int root, std::span<const std::string> ignored, Links links,
       ModelFolder::OwnBundle own_bundle)
      : root_(root),
        ignored_(ignored.begin(), ignored.end()),
        links_(links),
        bundles_skipped_(own_bundle == ModelFolder::OwnBundle::kSkipped) {}

  Result<std::vector<FileEntry>> run() {
    pending_.push_back({".", 0, {}});
    while (!pending_.empty()) {
      const Folder folder = std::move(pending_.back());
      pending_.pop_back();
      MLXGUARD_TRY(read_folder(folder));
    }
    return std::move(files_);
  }

 private:
  struct Folder {
    std::string name;
    std::size_t depth = 0;
    /// Folders above that links were followed from or to: a link to one of them is a circle.
    std::vector<std::pair<dev_t, ino_t>> above;
  };

  Result<void> read_folder(const Folder& folder) {
    MLXGUARD_TRY_ASSIGN(UniqueFd fd, open_folder(root_, folder.name, links_));
    const OpenFolder entries(::fdopendir(fd.get()));
    if (entries == nullptr) return os_error("read", folder.name);
    const int folder_fd = fd.release();  // closedir closes it
    for (;;) {
      errno = 0;
      // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this function's own
      const dirent* entry = ::readdir(entries.get());
      if (entry == nullptr) break;
      const std::string_view leaf = entry->d_name;
      if (leaf == "." || leaf == "..") continue;
      const std::string name =
          folder.name == "." ? std::string(leaf) : folder.name + "/" + std::string(leaf);
      MLXGUARD_TRY(take(folder_fd, name, entry->d_name, folder));
    }
    if (errno != 0) return os_error("read", folder.name);
    return {};
  }

  Result<void> take(int folder_fd, const std::string& name, const char* leaf,
                    const Folder& folder) {
    // What is below an ignored folder is never asked about: the walk does not enter it.
    if ((bundles_skipped_ && name == kSignatureFile) || ignored_.contains(name)) return {};
    if (!is_portable(name) || name.size() > limits::kModelPathBytesMax) {
      return make_error(ErrorCode::kArtifactName,
                        "expected a file name of UTF-8 without control characters")
          .about(name.substr(0, 256));
    }
    struct stat status {};
    if (::fstatat(folder_fd, leaf, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) return os_error("stat", name);
      return make_error(ErrorCode::kArtifactChanged, "a file disappeared while the model was read")
          .about(name);
    }
    if (S_ISREG(status.st_mode) && bundles_skipped_ && is_further_bundle(name)) return {};
    if (S_ISLNK(status.st_mode)) {
      MLXGUARD_TRY_ASSIGN(status, follow(name));
    }
    if (S_ISDIR(status.st_mode)) {
      if (folder.depth + 1 > limits::kModelDepthMax) {
        return make_error(ErrorCode::kArtifactTooMany, "folders nested deeper than allowed")
            .about(name);
      }
      Folder below{name, folder.depth + 1, {}};
      if (links_ == Links::kFollowedInside)
        MLXGUARD_TRY(check_no_circle(folder_fd, folder, status, below));
      pending_.push_back(std::move(below));
    } else if (S_ISREG(status.st_mode)) {
      files_.push_back({name, static_cast<std::uint64_t>(status.st_size)});
    } else {
      return make_error(ErrorCode::kArtifactSpecial, "a device, fifo or socket inside the model")
          .about(name);
    }
    if (files_.size() + pending_.size() > limits::kModelFilesMax) {
      return make_error(ErrorCode::kArtifactTooMany, "more files than a model may have");
    }
    return {};
  }

  /// A folder that is reached again below itself has no end.
  static Result<void> check_no_circle(int folder_fd, const Folder& folder,
                                      const struct stat& status, Folder& below) {
    struct stat here {};
    if (::fstat(folder_fd, &here) != 0) return os_error("stat", folder.name);
    below.above = folder.above;
    below.above.emplace_back(here.st_dev, here.st_ino);
    const std::pair<dev_t, ino_t> wanted(status.st_dev, status.st_ino);
    if (std::find(below.above.begin(), below.above.end(), wanted) == below.above.end()) return {};
    return make_error(ErrorCode::kArtifactSymlink, "a symbolic link that leads in a circle")
        .about(below.name);
  }

  /// What a link leads to: opened below the root, so it is inside the model, and no link again.
  Result<struct stat> follow(const std::string& name) const {
    if (links_ == Links::kRefused) {
      return make_error(ErrorCode::kArtifactSymlink, "a symbolic link inside the model")
          .about(name)
          .hinting("copy what it points to, or sign with --allow-symlinks if it stays inside");
    }
    MLXGUARD_TRY_ASSIGN(const UniqueFd fd, open_below_any(root_, name));
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return os_error("stat", name);
    return status;
  }

  int root_;
  std::unordered_set<std::string_view> ignored_;
  Links links_;
  bool bundles_skipped_;
  std::vector<Folder> pending_;
  std::vector<FileEntry> files_;
};

std::string base_name_of(const std::filesystem::path& path) {
  std::error_code problem;
  const auto whole = std::filesystem::absolute(path, problem).lexically_normal();
  return (whole.has_filename() ? whole.filename() : whole.parent_path().filename()).string();
}

Error root_error(const std::filesystem::path& path) {
  if (errno == ELOOP) {
    return make_error(ErrorCode::kArtifactSymlink, "the model is a symbolic link")
        .about(path.string())
        .hinting("name the folder that it points to");
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return make_error(ErrorCode::kArtifactNotFound, "there is no model here").about(path.string());
  }
  return os_error("open", path.string());
}

}  // namespace

Result<ModelFolder> ModelFolder::open(const std::filesystem::path& path) {
  // A trailing slash would make the kernel follow a link that the name itself is.
  const std::filesystem::path named =
      path.has_filename() || path == path.root_path() ? path : path.parent_path();
  ModelFolder folder;
  folder.base_name_ = base_name_of(path);
  folder.root_ =
      UniqueFd(::open(named.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!folder.root_.is_open()) return root_error(path);
  struct stat status {};
  if (::fstat(folder.root_.get(), &status) != 0) return os_error("stat", path.string());
  folder.single_file_ = S_ISREG(status.st_mode);
  if (!folder.single_file_ && !S_ISDIR(status.st_mode)) {
    return make_error(ErrorCode::kArtifactSpecial, "expected a folder or a regular file")
        .about(path.string());
  }
  return folder;
}

bool ModelFolder::is_single_file() const { return single_file_; }
const std::string& ModelFolder::base_name() const { return base_name_; }

Result<std::filesystem::path> ModelFolder::location() const {
  std::error_code problem;
  const auto path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(root_.get()), problem);
  if (!problem && path.is_absolute()) return path;
  return make_error(ErrorCode::kIo, "cannot tell where the model is").about(base_name_);
}

Result<UniqueFd> ModelFolder::open_file(const std::string& name) const {
  if (!single_file_) return open_regular(root_.get(), name, links_);
  MLXGUARD_CHECK(name == kSingleFile);
  // The file itself is the root: a second description of it, with an offset of its own.
  const std::string self = "/proc/self/fd/" + std::to_string(root_.get());
  UniqueFd fd(::open(self.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return os_error("open", base_name_);
  return fd;
}

Result<std::string> ModelFolder::read_small(std::string_view name, std::size_t bytes_max) const {
  MLXGUARD_CHECK(!single_file_);
  MLXGUARD_TRY_ASSIGN(const UniqueFd fd, open_regular(root_.get(), std::string(name)));
  return read_to_end(fd.get(), bytes_max, name);
}

Result<std::vector<std::uint8_t>> ModelFolder::read_head(const std::string& name,
                                                         std::size_t bytes_max) const {
  MLXGUARD_TRY_ASSIGN(const UniqueFd fd, open_file(name));
  std::vector<std::uint8_t> head(bytes_max);
  std::size_t filled = 0;
  while (filled < head.size()) {
    const ssize_t count =
        ::pread(fd.get(), head.data() + filled, head.size() - filled, static_cast<off_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read", name);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  head.resize(filled);
  return head;
}

Result<std::vector<std::string>> ModelFolder::list_small(const std::string& folder,
                                                         std::size_t count_max) const {
  std::vector<std::string> names;
  if (single_file_) return names;
  auto fd = open_folder(root_.get(), folder);
  if (!fd && fd.error().code == ErrorCode::kNotFound) return names;
  if (!fd) return std::move(fd).error();
  const OpenFolder entries(::fdopendir(fd->get()));
  if (entries == nullptr) return os_error("read", folder);
  static_cast<void>(fd->release());  // closedir closes it
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this function's own
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string_view leaf = entry->d_name;
    if (leaf == "." || leaf == "..") continue;
    if (names.size() >= count_max) {
      return make_error(ErrorCode::kArtifactTooMany, "more files than allowed here").about(folder);
    }
    names.emplace_back(leaf);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<FileEntry>> ModelFolder::enumerate(std::span<const std::string> ignored) const {
  std::vector<FileEntry> files;
  if (single_file_) {
    struct stat status {};
    if (::fstat(root_.get(), &status) != 0) return os_error("stat", base_name_);
    files.push_back({std::string(kSingleFile), static_cast<std::uint64_t>(status.st_size)});
  } else {
    MLXGUARD_TRY_ASSIGN(files, Walk(root_.get(), ignored, links_, own_bundle_).run());
  }
  if (files.empty()) {
    return make_error(ErrorCode::kArtifactEmpty, "expected at least one file").about(base_name_);
  }
  std::uint64_t total = 0;
  for (const FileEntry& file : files) {
    if (file.size_bytes > limits::kModelBytesMax - total) {
      return make_error(ErrorCode::kTooLarge, "the model is larger than a model may be");
    }
    total += file.size_bytes;
  }
  // Bytes of UTF-8 sort as code points do: the specification's order.
  std::sort(files.begin(), files.end(),
            [](const FileEntry& a, const FileEntry& b) { return a.name < b.name; });
  return files;
}

}  // namespace mlxguard::artifact
