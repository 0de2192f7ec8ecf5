// SPDX-License-Identifier: Apache-2.0
#include "signature/detached.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <unordered_set>
#include <utility>

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

bool less_by_range(const FileDigest& left, const FileDigest& right) {
  return std::tie(left.name, left.start_bytes) < std::tie(right.name, right.start_bytes);
}

/// Both peers write "." for a model that is one file, the specification says its base name.
void unify_single_name(std::vector<FileDigest>& resources, const artifact::ModelFolder& folder) {
  const bool by_name = std::all_of(resources.begin(), resources.end(), [&](const FileDigest& one) {
    return one.name == folder.base_name();
  });
  if (!folder.is_single_file() || !by_name) return;
  for (FileDigest& resource : resources) resource.name = ".";
}

/// The names of findings with one of these codes.
std::unordered_set<std::string_view> named_in(const Findings& findings, ErrorCode one,
                                              ErrorCode other) {
  std::unordered_set<std::string_view> names;
  for (const Error& finding : findings) {
    if (finding.code == one || finding.code == other) names.insert(finding.subject);
  }
  return names;
}

/// Everything that differs. Files whose names differ already are not hashed: they have no digest to
/// compare with, and one that is not signed could be of any size.
Result<Findings> compare(const artifact::ModelFolder& folder,
                         const std::vector<FileDigest>& signed_files,
                         const std::vector<FileEntry>& entries, artifact::HashPlan plan,
                         const DetachedOptions& options) {
  Findings by_name = compare_names(signed_files, entries, plan.shard_bytes);
  const auto not_hashed = named_in(by_name, ErrorCode::kShard, ErrorCode::kFileUnsigned);
  const auto not_expected = named_in(by_name, ErrorCode::kShard, ErrorCode::kFileMissing);
  std::vector<FileEntry> comparable;
  std::copy_if(entries.begin(), entries.end(), std::back_inserter(comparable),
               [&](const FileEntry& entry) { return !not_hashed.contains(entry.name); });
  std::vector<FileDigest> expected;
  std::copy_if(signed_files.begin(), signed_files.end(), std::back_inserter(expected),
               [&](const FileDigest& file) { return !not_expected.contains(file.name); });
  MLXGUARD_TRY_ASSIGN(const auto digests, folder.hash(comparable, plan, options.progress));
  Findings findings = compare_digests(expected, digests);
  std::copy_if(std::make_move_iterator(by_name.begin()), std::make_move_iterator(by_name.end()),
               std::back_inserter(findings), [&](const Error& finding) {
                 return finding.code != ErrorCode::kFileUnsigned ||
                        options.unsigned_files == UnsignedFiles::kRefused;
               });
  return findings;
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
  MLXGUARD_TRY_ASSIGN(const auto entries, folder.enumerate(ignored));

  VerifyReport report;
  report.root_digest = statement.root_digest;
  report.root_digests = root_digests_of(statement.resources, statement.shard_bytes);
  report.files = entries.size();
  for (const FileEntry& entry : entries) report.bytes += entry.size_bytes;
  unify_single_name(statement.resources, folder);
  std::sort(statement.resources.begin(), statement.resources.end(), less_by_range);
  MLXGUARD_TRY_ASSIGN(Findings findings,
                      compare(folder, statement.resources, entries, statement.plan(), options));
  if (findings.empty()) return Answer(std::move(report));
  Error first = findings.front();
  return Answer(Refusal{std::move(first), std::move(findings)});
}

}  // namespace mlxguard::signature
