// SPDX-License-Identifier: Apache-2.0
#include "signature/detached.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "signature/in_place.h"

namespace mlxguard::signature {
namespace {

using artifact::FileDigest;
using artifact::FileEntry;

/// What the user leaves out was signed: whoever asks about the whole model must not hear that it is
/// fine.
Result<void> check_not_left_out(const std::vector<FileDigest>& resources,
                                const std::vector<std::string>& ignored) {
  const std::unordered_set<std::string_view> left_out(ignored.begin(), ignored.end());
  for (const FileDigest& resource : resources) {
    const std::string_view name = resource.name;
    for (std::size_t end = name.find('/');; end = name.find('/', end + 1)) {
      if (left_out.contains(name.substr(0, end))) {
        return make_error(ErrorCode::kIgnoredRead, "a signed file lies under an ignored path")
            .about(resource.name);
      }
      if (end == std::string_view::npos) break;
    }
  }
  return {};
}

/// The signed files that are there. What else lies in the folder, whatever it is, was said not to
/// matter; a link or a pipe in the place of a signed file is refused as ever.
Result<std::vector<FileEntry>> find_signed(const artifact::ModelFolder& folder,
                                           const std::vector<FileDigest>& signed_files) {
  std::vector<FileEntry> found;
  for (std::size_t i = 0; i < signed_files.size(); ++i) {
    const std::string& name = signed_files[i].name;
    if (i > 0 && signed_files[i - 1].name == name) continue;
    const auto identity = folder.identify(name);
    if (!identity && identity.error().code == ErrorCode::kNotFound) continue;
    if (!identity) return Error(identity.error());
    found.push_back({name, identity->size_bytes});
  }
  return found;
}

}  // namespace

Result<std::variant<VerifyReport, Refusal>> check_detached(artifact::ModelFolder folder,
                                                           std::string_view payload,
                                                           const DetachedOptions& options) {
  using Answer = std::variant<VerifyReport, Refusal>;
  MLXGUARD_TRY_ASSIGN(Statement statement, parse_statement(payload, options.statement));
  MLXGUARD_TRY(check_not_left_out(statement.resources, options.ignored));
  const bool follow = statement.links == artifact::Links::kFollowedInside &&
                      options.links == artifact::Links::kFollowedInside;
  folder.set_links(follow ? artifact::Links::kFollowedInside : artifact::Links::kRefused);
  folder.set_own_bundle(artifact::ModelFolder::OwnBundle::kListed);
  std::vector<std::string> ignored = statement.ignored_paths;
  ignored.insert(ignored.end(), options.ignored.begin(), options.ignored.end());
  VerifyReport report;
  report.root_digest = statement.root_digest;
  report.root_digests = root_digests_of(statement.resources, statement.shard_bytes);
  unify_single_name(statement.resources, folder);
  sort_by_range(statement.resources);
  const bool signed_only =
      options.unsigned_files == UnsignedFiles::kTolerated && !folder.is_single_file();
  MLXGUARD_TRY_ASSIGN(const auto entries, signed_only ? find_signed(folder, statement.resources)
                                                      : folder.enumerate(ignored));
  report.files = entries.size();
  for (const FileEntry& entry : entries) report.bytes += entry.size_bytes;
  const auto hash = [&](std::span<const FileEntry> files) {
    return folder.hash(files, statement.plan(), options.progress);
  };
  MLXGUARD_TRY_ASSIGN(Findings findings, compare_in_place(statement.resources, entries,
                                                          statement.plan().shard_bytes, hash));
  if (findings.empty()) return Answer(std::move(report));
  Error first = findings.front();
  return Answer(Refusal{std::move(first), std::move(findings)});
}

}  // namespace mlxguard::signature
