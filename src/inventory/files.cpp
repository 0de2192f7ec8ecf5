// SPDX-License-Identifier: Apache-2.0
#include "inventory/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "base/os_error.h"
#include "base/unique_fd.h"

namespace mlxguard::inventory {

Result<std::string> read_file(const std::filesystem::path& file, std::uint64_t bytes_max) {
  // O_NONBLOCK: a named pipe in the place of a file is refused below, not waited for.
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) return os_error("open", file.string()).about(file.string());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", file.string()).about(file.string());
  if (!S_ISREG(status.st_mode)) {
    return make_error(ErrorCode::kIo, "expected a regular file").about(file.string());
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  const auto too_large = [&] {
    return make_error(ErrorCode::kTooLarge,
                      "expected at most " + std::to_string(bytes_max) + " bytes, found more")
        .about(file.string());
  };
  if (size > bytes_max) return too_large();
  std::string text(size, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error("read", file.string()).about(file.string());
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  char extra = 0;
  if (filled == size && ::read(fd.get(), &extra, 1) == 1) {
    // It grew, or the size of it is not told (/proc): read in pieces up to the bound.
    for (std::string piece(1, extra); !piece.empty();) {
      text += piece;
      if (text.size() > bytes_max) return too_large();
      piece.resize(1u << 16);
      const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
      if (got < 0) return os_error("read", file.string()).about(file.string());
      piece.resize(static_cast<std::size_t>(got));
    }
  }
  return text;
}

namespace {

/// A text beside the file that it will become, gone with this object unless it was named.
class Draft {
 public:
  static Result<Draft> write(const std::filesystem::path& file, std::string_view text) {
    std::string name = file.string() + ".XXXXXX";
    const UniqueFd fd(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd.is_open()) return os_error("create", file.string()).about(file.string());
    Draft draft(file, std::move(name));
    const auto fail = [&](const char* doing) {
      return os_error(doing, file.string()).about(file.string());
    };
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t wrote = ::write(fd.get(), text.data() + done, text.size() - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return fail("write");
      done += static_cast<std::size_t>(wrote);
    }
    constexpr mode_t kReadable = 0644;
    if (::fchmod(fd.get(), kReadable) != 0) return fail("chmod");
    if (::fsync(fd.get()) != 0) return fail("fsync");
    return draft;
  }
  Draft(Draft&& other) noexcept
      : file_(std::move(other.file_)), name_(std::exchange(other.name_, {})) {}
  Draft& operator=(Draft&&) = delete;
  ~Draft() {
    if (!name_.empty()) ::unlink(name_.c_str());
  }

  Result<void> publish() {
    if (::rename(name_.c_str(), file_.c_str()) != 0) {
      return os_error("rename", file_.string()).about(file_.string());
    }
    name_.clear();
    return {};
  }

 private:
  Draft(std::filesystem::path file, std::string name)
      : file_(std::move(file)), name_(std::move(name)) {}
  std::filesystem::path file_;
  std::string name_;
};

}  // namespace

Result<void> write_files(const std::vector<FileText>& files) {
  std::vector<Draft> drafts;
  for (const FileText& one : files) {
    MLXGUARD_TRY_ASSIGN(Draft draft, Draft::write(one.file, one.text));
    drafts.push_back(std::move(draft));
  }
  for (Draft& draft : drafts) MLXGUARD_TRY(draft.publish());
  return {};
}

Result<void> write_file(const std::filesystem::path& file, std::string_view text) {
  MLXGUARD_TRY_ASSIGN(Draft draft, Draft::write(file, text));
  return draft.publish();
}

std::string join_inside(std::string_view base, std::string_view path) {
  if (path.starts_with('/') || path.find('\0') != std::string_view::npos ||
      path.find('\\') != std::string_view::npos) {
    return {};
  }
  std::vector<std::string_view> parts;
  for (const std::string_view whole : {base, path}) {
    for (std::size_t start = 0; start <= whole.size();) {
      const std::size_t end = std::min(whole.find('/', start), whole.size());
      const std::string_view part = whole.substr(start, end - start);
      start = end + 1;
      if (part.empty() || part == ".") continue;
      if (part != "..") {
        parts.push_back(part);
        continue;
      }
      if (parts.empty()) return {};
      parts.pop_back();
    }
  }
  std::string joined;
  for (const std::string_view part : parts) {
    if (!joined.empty()) joined += '/';
    joined += part;
  }
  return joined;
}

std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view folder_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

}  // namespace mlxguard::inventory
