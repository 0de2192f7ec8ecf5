// SPDX-License-Identifier: Apache-2.0
#include "inventory/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "base/file.h"
#include "base/os_error.h"
#include "base/unique_fd.h"

namespace mlxguard::inventory {

Result<std::string> read_file(const std::filesystem::path& file, std::uint64_t bytes_max) {
  return mlxguard::read_file(file, bytes_max, FileKind::kRegular);
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
    MLXGUARD_TRY(write_all(fd.get(), text, file.string()));
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
