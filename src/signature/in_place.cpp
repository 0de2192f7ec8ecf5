// SPDX-License-Identifier: Apache-2.0
#include "signature/in_place.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <tuple>
#include <unordered_set>

namespace mlxguard::signature {
namespace {

using artifact::FileDigest;
using artifact::FileEntry;

/// The names of findings with one of these codes.
std::unordered_set<std::string_view> named_in(const Findings& findings, ErrorCode one,
                                              ErrorCode other) {
  std::unordered_set<std::string_view> names;
  for (const Error& finding : findings) {
    if (finding.code == one || finding.code == other) names.insert(finding.subject);
  }
  return names;
}

}  // namespace

void unify_single_name(std::vector<FileDigest>& resources, const artifact::ModelFolder& folder) {
  const bool by_name = std::all_of(resources.begin(), resources.end(), [&](const FileDigest& one) {
    return one.name == folder.base_name();
  });
  if (!folder.is_single_file() || !by_name) return;
  for (FileDigest& resource : resources) resource.name = ".";
}

void sort_by_range(std::vector<FileDigest>& digests) {
  std::sort(digests.begin(), digests.end(), [](const FileDigest& left, const FileDigest& right) {
    return std::tie(left.name, left.start_bytes) < std::tie(right.name, right.start_bytes);
  });
}

Result<Findings> compare_in_place(const std::vector<FileDigest>& signed_files,
                                  const std::vector<FileEntry>& entries, std::uint64_t shard_bytes,
                                  const HashFiles& hash) {
  Findings by_name = compare_names(signed_files, entries, shard_bytes);
  const auto not_hashed = named_in(by_name, ErrorCode::kShard, ErrorCode::kFileUnsigned);
  const auto not_expected = named_in(by_name, ErrorCode::kShard, ErrorCode::kFileMissing);
  std::vector<FileEntry> comparable;
  std::copy_if(entries.begin(), entries.end(), std::back_inserter(comparable),
               [&](const FileEntry& entry) { return !not_hashed.contains(entry.name); });
  std::vector<FileDigest> expected;
  std::copy_if(signed_files.begin(), signed_files.end(), std::back_inserter(expected),
               [&](const FileDigest& file) { return !not_expected.contains(file.name); });
  MLXGUARD_TRY_ASSIGN(const auto digests, hash(comparable));
  Findings findings = compare_digests(expected, digests);
  std::move(by_name.begin(), by_name.end(), std::back_inserter(findings));
  return findings;
}

}  // namespace mlxguard::signature
