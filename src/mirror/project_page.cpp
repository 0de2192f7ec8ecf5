// SPDX-License-Identifier: Apache-2.0
#include "mirror/project_page.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "base/ascii.h"

namespace mlxguard::mirror {
namespace {

constexpr std::size_t kNameBytesMax = 128;
constexpr std::size_t kFilenameBytesMax = 255;

constexpr std::array<std::string_view, 7> kSourceEndings = {
    ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".zip", ".tar.Z"};

/// The file name without the ending of a source archive; empty if it has none.
std::string_view source_stem(std::string_view filename) {
  for (const std::string_view ending : kSourceEndings) {
    if (filename.ends_with(ending)) return filename.substr(0, filename.size() - ending.size());
  }
  return {};
}

}  // namespace

const ProjectFile* ProjectPage::find(std::string_view filename) const {
  const auto found = std::find_if(files.begin(), files.end(), [&](const ProjectFile& file) {
    return file.filename == filename;
  });
  return found == files.end() ? nullptr : &*found;
}

std::string normalize_name(std::string_view name) {
  std::string out;
  bool pending = false;
  for (const char c : name) {
    if (c == '-' || c == '_' || c == '.') {
      pending = true;
      continue;
    }
    if (std::exchange(pending, false)) out += '-';
    out += ascii_lower(c);
  }
  if (pending) out += '-';
  return out;
}

bool is_project_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  if (!is_ascii_alphanumeric(name.front()) || !is_ascii_alphanumeric(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return is_ascii_alphanumeric(c) || c == '-' || c == '_' || c == '.';
  });
}

bool is_file_name(std::string_view name) {
  if (name.empty() || name.size() > kFilenameBytesMax || !is_ascii_alphanumeric(name.front()))
    return false;
  if (!std::all_of(name.begin(), name.end(), [](char c) {
        return is_ascii_alphanumeric(c) || c == '-' || c == '_' || c == '.' || c == '+' || c == '!';
      })) {
    return false;
  }
  return name.ends_with(".whl") || !source_stem(name).empty();
}

std::string version_in(std::string_view filename, std::string_view project) {
  if (filename.ends_with(".whl")) {
    const auto first = filename.find('-');
    if (first == std::string_view::npos) return {};
    const auto second = filename.find('-', first + 1);
    const auto dashes = std::count(filename.begin(), filename.end(), '-');
    if (second == std::string_view::npos || dashes < 4 || dashes > 5) return {};
    if (normalize_name(filename.substr(0, first)) != project) return {};
    return std::string(filename.substr(first + 1, second - first - 1));
  }
  // A project's name may hold dashes: the one before the version is where the project's name ends.
  const std::string_view stem = source_stem(filename);
  for (auto dash = stem.find('-'); dash != std::string_view::npos;
       dash = stem.find('-', dash + 1)) {
    if (normalize_name(stem.substr(0, dash)) == project) return std::string(stem.substr(dash + 1));
  }
  return {};
}

void keep_first_seen(ProjectPage& page, const ProjectPage* before, std::int64_t now_ms) {
  std::unordered_map<std::string_view, const ProjectFile*> known;
  if (before != nullptr) {
    for (const ProjectFile& file : before->files) known.emplace(file.filename, &file);
  }
  for (ProjectFile& file : page.files) {
    const auto found = known.find(file.filename);
    // Other bytes under an old name are a new file.
    const bool same = found != known.end() && found->second->sha256 == file.sha256;
    file.first_seen_ms = same ? std::min(found->second->first_seen_ms, now_ms) : now_ms;
    if (found != known.end()) file.changed_ms = same ? found->second->changed_ms : now_ms;
  }
}

}  // namespace mlxguard::mirror
