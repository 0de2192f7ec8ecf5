// SPDX-License-Identifier: Apache-2.0
#include "signature/verify.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mlxguard::signature {
namespace {

using artifact::FileDigest;
using artifact::FileEntry;

std::uint64_t total_bytes(std::span<const FileEntry> entries) {
  std::uint64_t total = 0;
  for (const FileEntry& entry : entries) total += entry.size_bytes;
  return total;
}

}  // namespace

Verifier::Verifier(artifact::ModelFolder folder, Statement statement,
                   std::vector<FileEntry> entries)
    : folder_(std::move(folder)),
      algorithm_(statement.algorithm),
      signed_files_(std::move(statement.resources)),
      entries_(std::move(entries)) {
  // Bytes of UTF-8, as both lists are compared; the root digest was over the listed order.
  std::sort(signed_files_.begin(), signed_files_.end(),
            [](const FileDigest& left, const FileDigest& right) { return left.name < right.name; });
  report_.files = entries_.size();
  report_.bytes = total_bytes(entries_);
  report_.root_digest = std::move(statement.root_digest);
}

Result<void> Verifier::conclude(Findings findings) {
  findings_ = std::move(findings);
  if (!findings_.empty()) return Error(findings_.front());
  return {};
}

Result<void> Verifier::check_names() {
  MLXGUARD_TRY(conclude(compare_names(signed_files_, entries_)));
  step_ = Step::kNamesChecked;
  return {};
}

Result<void> Verifier::take_snapshot(const artifact::Progress& progress) {
  MLXGUARD_CHECK(step_ == Step::kNamesChecked);
  MLXGUARD_TRY_ASSIGN(files_, folder_.snapshot(entries_, algorithm_, digests_, progress));
  step_ = Step::kSnapshotTaken;
  return {};
}

Result<VerifiedModel> Verifier::verify(std::string served_name) {
  MLXGUARD_CHECK(step_ == Step::kSnapshotTaken);
  MLXGUARD_CHECK(std::equal(files_.begin(), files_.end(), digests_.begin(), digests_.end(),
                            [](const auto& file, const auto& of) { return file.name == of.name; }));
  MLXGUARD_TRY(conclude(compare_digests(signed_files_, digests_)));
  VerifiedModel model;
  model.name_ = std::move(served_name);
  model.root_digest_ = report_.root_digest;
  model.signer_ = report_.signer;
  model.files_ = std::move(files_);
  step_ = Step::kOpened;
  return model;
}

Result<void> Verifier::check_in_place(const artifact::Progress& progress) {
  MLXGUARD_TRY_ASSIGN(const auto digests, folder_.hash(entries_, algorithm_, progress));
  return conclude(compare_digests(signed_files_, digests));
}

}  // namespace mlxguard::signature
