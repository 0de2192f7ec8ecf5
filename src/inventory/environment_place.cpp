// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "inventory/environment.h"
#include "inventory/files.h"
#include "packaging/scan.h"

namespace mlxguard::inventory {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSmallFileBytesMax = 1u << 20;

/// As Python's site module reads pyvenv.cfg: keys in any case, the last one counts.
std::string config_value(std::string_view text, std::string_view key) {
  const auto trim = [](std::string_view words) {
    constexpr std::string_view kSpace = " \t\f\v";
    const auto first = words.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return std::string();
    return std::string(words.substr(first, words.find_last_not_of(kSpace) - first + 1));
  };
  std::string found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of("\n\r", at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    if (ascii_lower(trim(line.substr(0, equals))) == key) {
      found = trim(line.substr(equals + 1));
    }
  }
  return found;
}

bool has_packages(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (is_info_folder(entry.path().filename().string())) return true;
  }
  return false;
}

/// Adds `folder` when it is there and is not one that is listed already under another name (lib64).
void add_site(EnvironmentPlace& place, const fs::path& folder, std::set<fs::path>& seen) {
  std::error_code missing;
  const fs::path real = fs::canonical(folder, missing);
  if (missing || !fs::is_directory(real) || !seen.insert(real).second) return;
  place.site_packages.push_back(folder.lexically_relative(place.prefix).generic_string());
}

}  // namespace

bool is_info_folder(std::string_view name) {
  return name.ends_with(".dist-info") || name.ends_with(".egg-info");
}

std::optional<EnvironmentPlace> find_environment(const fs::path& path) {
  std::error_code missing;
  EnvironmentPlace place;
  place.prefix = fs::canonical(path, missing);
  if (missing || !fs::is_directory(place.prefix)) return std::nullopt;
  std::set<fs::path> seen;
  const auto config = read_file(place.prefix / "pyvenv.cfg", kSmallFileBytesMax);
  const std::string own = place.prefix.filename().string();
  if (!config && (own == "site-packages" || own == "dist-packages" || has_packages(place.prefix))) {
    // A folder of packages by itself; below a prefix, paths start there, since RECORDs lead to
    // bin/.
    const fs::path folder = place.prefix;
    const std::string python = folder.parent_path().filename().string();
    if (python.starts_with("python")) {
      place.prefix = folder.parent_path().parent_path().parent_path();
      place.python_version = python.substr(6);
    }
    add_site(place, folder, seen);
    if (place.site_packages.front() == ".") place.site_packages.front().clear();
    return place;
  }
  for (const char* lib : {"lib", "lib64"}) {
    std::vector<fs::path> pythons;
    for (const auto& entry : fs::directory_iterator(place.prefix / lib, missing)) {
      if (entry.path().filename().string().starts_with("python")) pythons.push_back(entry.path());
    }
    std::sort(pythons.begin(), pythons.end());
    for (const fs::path& python : pythons) {
      const std::size_t before = place.site_packages.size();
      add_site(place, python / "site-packages", seen);
      add_site(place, python / "dist-packages", seen);
      const std::string version = python.filename().string().substr(6);
      if (place.site_packages.size() > before && version.find('.') != std::string::npos) {
        place.python_version = version;
      }
    }
  }
  add_site(place, place.prefix / "Lib" / "site-packages", seen);
  if (place.site_packages.empty()) return std::nullopt;
  if (fs::is_directory(place.prefix / "conda-meta", missing)) {
    place.elsewhere.emplace_back("packages that conda installed");
  }
  if (config) {
    place.is_virtual = true;
    std::string version = config_value(*config, "version");
    if (version.empty()) version = config_value(*config, "version_info");
    if (!version.empty()) place.python_version = version;
    // As Python's site module reads it: what is not said counts as "true".
    const std::string system =
        ascii_lower(config_value(*config, "include-system-site-packages"));
    if (system.empty() || system == "true") {
      place.elsewhere.push_back("the packages of the Python in " + config_value(*config, "home") +
                                " (include-system-site-packages)");
    }
  }
  return place;
}

}  // namespace mlxguard::inventory
