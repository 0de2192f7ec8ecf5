// SPDX-License-Identifier: Apache-2.0
#include "inspect/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/limits.h"
#include "base/os_error.h"

namespace mlxguard::inspect {
namespace {

int open_below(int root, const std::string& name, std::uint64_t flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    const long fd = ::syscall(SYS_openat2, root, name.c_str(), &how, sizeof how);
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return static_cast<int>(fd);
  }
}

LinkPlace place_of_link(int root, const std::string& name) {
  const UniqueFd target(open_below(root, name, O_PATH, 0));
  if (target.is_open()) return LinkPlace::kInside;
  return errno == EXDEV ? LinkPlace::kOutside : LinkPlace::kNowhere;
}

std::string read_link(int folder, const std::string& name) {
  std::array<char, limits::kModelPathBytesMax> target{};
  const ssize_t length = ::readlinkat(folder, name.c_str(), target.data(), target.size());
  return length < 0 ? std::string() : std::string(target.data(), static_cast<std::size_t>(length));
}

Entry entry_of(const std::string& name, const struct stat& status) {
  Entry entry;
  entry.name = name;
  entry.kind = S_ISREG(status.st_mode)   ? EntryKind::kRegular
               : S_ISLNK(status.st_mode) ? EntryKind::kLink
               : S_ISDIR(status.st_mode) ? EntryKind::kFolder
                                         : EntryKind::kSpecial;
  entry.size_bytes = static_cast<std::uint64_t>(status.st_size);
  entry.mode = status.st_mode;
  entry.device = status.st_dev;
  entry.inode = status.st_ino;
  entry.names = status.st_nlink;
  entry.modified_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  return entry;
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

class Walk {
 public:
  explicit Walk(int root) : root_(root) {}

  void folder(UniqueFd opened, const std::string& prefix, std::size_t depth) {
    if (depth > out_.depth) out_.depth = depth, out_.deepest = prefix;
    const int fd = opened.get();
    const std::unique_ptr<DIR, CloseFolder> stream(::fdopendir(opened.release()));
    if (!stream) return gap(prefix, "the folder cannot be read");
    for (;;) {
      errno = 0;
      const dirent* next = ::readdir(stream.get());  // NOLINT(concurrency-mt-unsafe): own stream
      if (next == nullptr) {
        if (errno != 0) gap(prefix, "the folder cannot be read to its end");
        return;
      }
      const std::string last = static_cast<const char*>(next->d_name);
      if (last == "." || last == "..") continue;
      if (out_.entries.size() >= limits::kModelFilesMax) {
        if (!full_) gap(prefix, "more files than are looked at");
        full_ = true;
        return;
      }
      one(fd, prefix.empty() ? last : prefix + "/" + last, last, depth);
    }
  }

  Folder::Listing take() && {
    std::sort(out_.entries.begin(), out_.entries.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    return std::move(out_);
  }

 private:
  void one(int folder_fd, const std::string& name, const std::string& last, std::size_t depth) {
    struct stat status {};
    if (::fstatat(folder_fd, last.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return gap(name, "it cannot be looked at, or is gone");
    }
    Entry entry = entry_of(name, status);
    if (entry.kind == EntryKind::kFolder) {
      if (depth + 1 > limits::kModelDepthMax) return gap(name, "folders are nested too deep");
      UniqueFd below(
          ::openat(folder_fd, last.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!below.is_open()) return gap(name, "the folder cannot be opened");
      return folder(std::move(below), name, depth + 1);
    }
    if (entry.kind == EntryKind::kLink) {
      entry.link_target = read_link(folder_fd, last);
      entry.link_place = place_of_link(root_, name);
    }
    out_.entries.push_back(std::move(entry));
  }

  void gap(const std::string& name, const char* why) {
    constexpr std::size_t kGapsMax = 1000;
    if (out_.gaps.size() < kGapsMax) out_.gaps.push_back({name.empty() ? "." : name, why});
  }

  int root_;
  bool full_ = false;
  Folder::Listing out_;
};

}  // namespace

Result<Folder> Folder::open(const std::filesystem::path& path) {
  Folder folder;
  folder.base_name_ = path.filename().string();
  UniqueFd looked(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!looked.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return make_error(ErrorCode::kArtifactNotFound, "there is no such file or folder")
          .about(path.string());
    }
    return os_error("open", path.string());
  }
  struct stat status {};
  if (::fstat(looked.get(), &status) != 0) return os_error("stat", path.string());
  folder.single_file_ = S_ISREG(status.st_mode);
  if (!folder.single_file_ && !S_ISDIR(status.st_mode)) {
    return make_error(ErrorCode::kArtifactSpecial, "expected a folder or a regular file")
        .about(path.string());
  }
  const int flags = O_RDONLY | O_CLOEXEC | (folder.single_file_ ? O_NONBLOCK : O_DIRECTORY);
  folder.root_ = UniqueFd(::open(path.c_str(), flags));
  if (!folder.root_.is_open()) return os_error("open", path.string());
  return folder;
}

Result<Folder::Listing> Folder::list() const {
  if (single_file_) {
    struct stat status {};
    if (::fstat(root_.get(), &status) != 0) return os_error("stat", base_name_);
    Listing listing;
    listing.entries.push_back(entry_of(base_name_, status));
    return listing;
  }
  UniqueFd copy(::openat(root_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy.is_open()) return os_error("open", base_name_);
  Walk walk(root_.get());
  walk.folder(std::move(copy), "", 0);
  return std::move(walk).take();
}

Result<UniqueFd> Folder::open_listed(const Entry& entry) const {
  // O_NONBLOCK: a fifo that took the file's place must not make us wait.
  UniqueFd fd(single_file_
                  ? ::fcntl(root_.get(), F_DUPFD_CLOEXEC, 3)
                  : open_below(root_.get(), entry.name,
                               O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS));
  if (!fd.is_open()) return os_error("open", entry.name);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", entry.name);
  const Entry now = entry_of(entry.name, status);
  if (now.kind != EntryKind::kRegular || now.device != entry.device || now.inode != entry.inode ||
      now.size_bytes != entry.size_bytes) {
    return make_error(ErrorCode::kArtifactChanged, "changed while it was inspected")
        .about(entry.name);
  }
  return fd;
}

bool Folder::unchanged(const Entry& entry, int fd) const {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return false;
  const Entry now = entry_of(entry.name, status);
  return now.size_bytes == entry.size_bytes && now.modified_ns == entry.modified_ns;
}

}  // namespace mlxguard::inspect
