// SPDX-License-Identifier: Apache-2.0
#include "sandbox/cgroup_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <thread>

#include "base/os_error.h"
#include "base/unique_fd.h"

namespace mlxguard::sandbox {
namespace {

constexpr std::string_view kLeafPrefix = "mlxguard-";

/// Calls `use` for each line without its newline; stops when it returns true.
template <class Use>
void for_each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (use(text.substr(0, end))) return;
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool lists(std::string_view comma_separated, std::string_view item) {
  for (const std::string_view part : split(comma_separated, ',')) {
    if (part == item) return true;
  }
  return false;
}

struct Mount {
  std::string_view root;   ///< what of the hierarchy is mounted
  std::string_view point;  ///< where
};

/// mountinfo: id parent major:minor root point options... - fstype source superoptions
std::optional<Mount> find_mount(std::string_view mountinfo, std::string_view controller) {
  std::optional<Mount> found;
  for_each_line(mountinfo, [&](std::string_view line) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) return false;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) return false;
    const bool matches = controller.empty() ? after[0] == "cgroup2"
                                            : after[0] == "cgroup" && lists(after[2], controller);
    if (matches) found = Mount{before[3], before[4]};
    return matches;
  });
  return found;
}

/// cgroup: id:controllers:path, with "0::path" for v2.
std::optional<std::string_view> find_own_path(std::string_view own, std::string_view controller) {
  std::optional<std::string_view> found;
  for_each_line(own, [&](std::string_view line) {
    const auto parts = split(line, ':');
    if (parts.size() < 3) return false;
    const bool matches =
        controller.empty() ? parts[0] == "0" && parts[1].empty() : lists(parts[1], controller);
    // The path is the rest, and may hold colons itself.
    if (matches) found = line.substr(parts[0].size() + parts[1].size() + 2);
    return matches;
  });
  return found;
}

bool is_running(std::string_view pid_text) {
  pid_t pid = 0;
  const char* const text_end = pid_text.data() + pid_text.size();
  const auto [end, error] = std::from_chars(pid_text.data(), text_end, pid);
  if (error != std::errc{} || pid <= 0) return true;  // not one of ours: leave it
  return ::kill(pid, 0) == 0 || errno != ESRCH;
}

}  // namespace

std::optional<std::string> find_own_cgroup(std::string_view mountinfo, std::string_view own,
                                           std::string_view controller) {
  const auto mount = find_mount(mountinfo, controller);
  auto path = find_own_path(own, controller);
  if (!mount || !path) return std::nullopt;
  // A container sees only a part of the hierarchy, mounted from `root`; the path starts above it.
  if (mount->root != "/") {
    if (path->starts_with(mount->root)) {
      path->remove_prefix(mount->root.size());
    } else {
      path = "";
    }
  }
  std::string folder(mount->point);
  if (!path->empty() && *path != "/") folder.append(*path);
  return folder;
}

std::optional<std::string> own_cgroup(std::string_view controller) {
  const auto mountinfo = read_cgroup_file("/proc/self/mountinfo");
  const auto own = read_cgroup_file("/proc/self/cgroup");
  if (!mountinfo || !own) return std::nullopt;
  return find_own_cgroup(*mountinfo, *own, controller);
}

std::optional<std::uint64_t> find_counter(std::string_view text, std::string_view key) {
  std::optional<std::uint64_t> found;
  for_each_line(text, [&](std::string_view line) {
    if (!key.empty()) {
      if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') {
        return false;
      }
      line.remove_prefix(key.size() + 1);
    }
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error == std::errc{}) found = value;
    return true;
  });
  return found;
}

Result<std::string> read_cgroup_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return os_error("open", path);
  std::string text;
  char buffer[4096];
  while (true) {
    const ssize_t count = ::read(file.get(), buffer, sizeof(buffer));
    if (count < 0) return os_error("read", path);
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

Result<void> write_cgroup_file(const std::string& path, std::string_view text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.is_open()) return os_error("open", path);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return os_error("write", path);
  }
  return {};
}

std::optional<std::uint64_t> read_counter(const std::string& path, std::string_view key) {
  const auto text = read_cgroup_file(path);
  if (!text) return std::nullopt;
  return find_counter(*text, key);
}

Result<void> make_cgroup(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0755) == 0) return {};
  if (errno == EEXIST && ::rmdir(folder.c_str()) == 0 && ::mkdir(folder.c_str(), 0755) == 0) {
    return {};
  }
  return os_error("create cgroup", folder);
}

void remove_cgroup(const std::string& folder) {
  constexpr int kTries = 50;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (::rmdir(folder.c_str()) == 0 || errno != EBUSY) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void sweep_leaves(const std::string& parent) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kLeafPrefix)) continue;
    const std::string_view rest = std::string_view(name).substr(kLeafPrefix.size());
    // A process inside makes rmdir fail, which is right.
    if (!is_running(rest.substr(0, rest.find('-')))) ::rmdir(entry.path().c_str());
  }
}

std::string leaf_name(std::string_view name) {
  return std::string(kLeafPrefix) + std::to_string(::getpid()) + "-" + std::string(name);
}

}  // namespace mlxguard::sandbox
