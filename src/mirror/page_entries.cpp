// SPDX-License-Identifier: Apache-2.0
#include "mirror/page_entries.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "base/ascii.h"
#include "base/limits.h"

namespace mlxguard::mirror {
namespace {

constexpr std::size_t kVersionBytesMax = 128;
constexpr std::size_t kTextBytesMax = 2048;

Error left_out(std::string message) {
  return make_error(ErrorCode::kMirrorPage, std::move(message));
}

bool is_version_text(std::string_view text) {
  return !text.empty() && text.size() <= kVersionBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_ascii_alphanumeric(c) || c == '.' || c == '-' || c == '_' || c == '+' ||
                  c == '!';
         });
}

/// Control characters would come out in headers, logs and terminals.
bool is_plain_text(std::string_view text) {
  return text.size() <= kTextBytesMax && std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

}  // namespace

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<void> finish_entry(std::string_view project, ProjectFile& file) {
  if (!is_file_name(file.filename)) return left_out("a file name that no installer takes");
  file.version = version_in(file.filename, project);
  if (!is_version_text(file.version)) {
    return left_out("a file that is not named after its project and version");
  }
  if (!file.sha256.empty() && !is_sha256(file.sha256)) return left_out("a sha256 that is none");
  if (!file.metadata_sha256.empty() && !is_sha256(file.metadata_sha256)) {
    return left_out("a metadata sha256 that is none");
  }
  if (!is_plain_text(file.requires_python)) return left_out("a requires-python that is no text");
  if (file.yanked && !is_plain_text(*file.yanked)) file.yanked = "";
  if (file.size_bytes && *file.size_bytes > limits::kMirrorFileBytesMax) {
    return left_out("a file that is larger than allowed");
  }
  MLXGUARD_TRY(parse_url(file.url));
  return {};
}

PageBuilder::PageBuilder(std::string_view project) { page_.project = project; }

void PageBuilder::skip(const Error& why) {
  if (page_.skipped++ == 0) page_.skipped_why = why.message;
}

void PageBuilder::add(Result<ProjectFile> entry) {
  if (!entry) return skip(entry.error());
  if (auto fine = finish_entry(page_.project, *entry); !fine) return skip(fine.error());
  page_.files.push_back(*std::move(entry));
}

void PageBuilder::add_version(std::string_view version) {
  if (is_version_text(version)) page_.versions.emplace_back(version);
}

ProjectPage PageBuilder::take() && {
  // Found by name later: a second entry of one name could only confuse, so the first counts.
  std::unordered_set<std::string> names;
  std::vector<ProjectFile> kept;
  kept.reserve(page_.files.size());
  for (ProjectFile& file : page_.files) {
    if (names.insert(file.filename).second) {
      kept.push_back(std::move(file));
    } else {
      skip(left_out("two files of one name"));
    }
  }
  page_.files = std::move(kept);
  std::set<std::string> versions(page_.versions.begin(), page_.versions.end());
  for (const ProjectFile& file : page_.files) versions.insert(file.version);
  page_.versions.assign(versions.begin(), versions.end());
  return std::move(page_);
}

}  // namespace mlxguard::mirror
