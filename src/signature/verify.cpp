// SPDX-License-Identifier: Apache-2.0
#include "signature/verify.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/os_error.h"
#include "codec/text.h"
#include "signature/in_place.h"

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
      plan_(statement.plan()),
      signed_files_(std::move(statement.resources)),
      entries_(std::move(entries)) {
  report_.root_digests = root_digests_of(signed_files_, plan_.shard_bytes);
  unify_single_name(signed_files_, folder_);
  // Bytes of UTF-8, as both lists are compared; the root digest was over the listed order.
  sort_by_range(signed_files_);
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
  MLXGUARD_TRY(conclude(compare_names(signed_files_, entries_, plan_.shard_bytes)));
  step_ = Step::kNamesChecked;
  return {};
}

Result<void> Verifier::take_snapshot(const artifact::Progress& progress) {
  MLXGUARD_CHECK(step_ == Step::kNamesChecked);
  MLXGUARD_TRY_ASSIGN(files_, folder_.snapshot(entries_, plan_, digests_, progress));
  step_ = Step::kSnapshotTaken;
  return {};
}

Result<void> Verifier::take_snapshot(const artifact::Receipt& receipt,
                                     const artifact::Progress& progress) {
  MLXGUARD_CHECK(step_ == Step::kNamesChecked);
  MLXGUARD_TRY(receipt.check_model(report_.root_digest, manifest_digest(), entries_));
  std::vector<std::optional<artifact::FileIdentity>> identities;
  MLXGUARD_TRY_ASSIGN(auto files, folder_.snapshot_unhashed(entries_, identities, progress));
  // Of the descriptors that the bytes were read from, before and after.
  MLXGUARD_TRY(receipt.check_files(entries_, identities));
  files_ = std::move(files);
  report_.basis = Basis::kReceipt;
  step_ = Step::kReceiptBelieved;
  return {};
}

std::string Verifier::manifest_digest() const {
  std::string text = "mlxguard manifest 1\n" + std::string(name_of_hash(plan_.algorithm)) + " " +
                     std::to_string(plan_.shard_bytes) + "\n";
  for (const FileDigest& file : signed_files_) {
    // A name has no control characters, so a line is one file.
    text += codec::to_hex(file.digest) + " " + resource_name(file, plan_.shard_bytes) + "\n";
  }
  return codec::to_hex(crypto::sha256(as_bytes(text)));
}

Result<void> Verifier::copy_verified(const UniqueFd& destination,
                                     const artifact::Progress& progress) {
  MLXGUARD_CHECK(step_ == Step::kNamesChecked);
  MLXGUARD_TRY_ASSIGN(const auto digests, folder_.copy_to(destination, entries_, plan_, progress));
  return conclude(compare_digests(signed_files_, digests));
}

Result<void> Verifier::check_digests() {
  MLXGUARD_CHECK(step_ == Step::kSnapshotTaken || step_ == Step::kReceiptBelieved);
  if (step_ == Step::kSnapshotTaken)
    MLXGUARD_TRY(conclude(compare_digests(signed_files_, digests_)));
  step_ = Step::kDigestsChecked;
  return {};
}

Result<std::vector<std::uint8_t>> Verifier::read_head(const std::string& name,
                                                      std::size_t bytes_max) const {
  if (files_.empty()) return folder_.read_head(name, bytes_max);
  const auto file =
      std::find_if(files_.begin(), files_.end(),
                   [&](const artifact::SnapshotFile& one) { return one.name == name; });
  MLXGUARD_CHECK(file != files_.end());
  std::vector<std::uint8_t> head(std::min<std::uint64_t>(bytes_max, file->size_bytes));
  std::size_t filled = 0;
  while (filled < head.size()) {
    const ssize_t count = ::pread(file->memory.get(), head.data() + filled, head.size() - filled,
                                  static_cast<off_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return os_error("read", name);
    filled += static_cast<std::size_t>(count);
  }
  return head;
}

Result<VerifiedModel> Verifier::verify(std::string served_name, const trust::Approval& approval) {
  MLXGUARD_CHECK(step_ == Step::kDigestsChecked);
  if (approval.root_digest() != report_.root_digest) {
    return make_error(ErrorCode::kTrustNoSource, "the policy allowed another model than this one")
        .compared(approval.root_digest(), report_.root_digest);
  }
  VerifiedModel model;
  model.name_ = std::move(served_name);
  model.root_digest_ = report_.root_digest;
  model.signer_ = report_.signer;
  model.files_ = std::move(files_);
  step_ = Step::kOpened;
  return model;
}

Result<std::vector<FileDigest>> Verifier::hash_in_place(std::span<const FileEntry> entries,
                                                        const artifact::Progress& progress) {
  std::vector<std::optional<artifact::FileIdentity>> identities;
  MLXGUARD_TRY_ASSIGN(auto digests, folder_.hash(entries, plan_, progress, &identities));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (identities[i]) report_.hashed.emplace_back(entries[i].name, *identities[i]);
  }
  return digests;
}

Result<void> Verifier::check_in_place(const artifact::Progress& progress) {
  if (plan_.shard_bytes == 0) {
    MLXGUARD_TRY_ASSIGN(const auto digests, hash_in_place(entries_, progress));
    return conclude(compare_digests(signed_files_, digests));
  }
  const auto hash = [&](std::span<const FileEntry> entries) {
    return hash_in_place(entries, progress);
  };
  MLXGUARD_TRY_ASSIGN(Findings findings,
                      compare_in_place(signed_files_, entries_, plan_.shard_bytes, hash));
  return conclude(std::move(findings));
}

}  // namespace mlxguard::signature
