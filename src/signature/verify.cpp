// SPDX-License-Identifier: Apache-2.0
#include "signature/verify.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "signature/bundle.h"
#include "signature/bundle_file.h"

namespace mlxguard::signature {
namespace {

using artifact::FileDigest;
using artifact::FileEntry;

/// People know the bundle's file, not the member of the bundle: that goes into the message.
Error about_bundle(Error error, const std::string& bundle_name) {
  constexpr std::array kAboutFiles{ErrorCode::kResourceName, ErrorCode::kResourceDuplicate,
                                   ErrorCode::kIgnoredRead};
  if (std::find(kAboutFiles.begin(), kAboutFiles.end(), error.code) != kAboutFiles.end()) {
    return error;
  }
  if (!error.subject.empty()) error.message = error.subject + ": " + error.message;
  error.subject = bundle_name;
  return error;
}

Result<const TrustedKey*> find_signer(const Bundle& bundle, const TrustedKeys& trusted) {
  if (trusted.keys().empty()) {
    return make_error(ErrorCode::kNoTrustedKeys, "expected a trusted public key, found none")
        .hinting("make a key with `mlxguard key new NAME`, or name the signer's with --public-key");
  }
  const std::vector<std::uint8_t> message = pre_authentication_encoding(bundle.payload);
  if (bundle.key_hint) {
    const TrustedKey* named = trusted.find(*bundle.key_hint);
    if (named != nullptr && named->key.verify(message, bundle.signature)) return named;
    if (named != nullptr) {
      return make_error(ErrorCode::kSignatureInvalid,
                        "the signature does not verify under the trusted key that it names");
    }
  } else {
    for (const TrustedKey& candidate : trusted.keys()) {
      if (candidate.key.verify(message, bundle.signature)) return &candidate;
    }
  }
  return make_error(ErrorCode::kSignerUntrusted, "no trusted key made this signature")
      .compared("one of " + std::to_string(trusted.keys().size()) + " trusted keys",
                bundle.key_hint ? *bundle.key_hint : "a key that the bundle does not name")
      .hinting("trust the signer with --public-key FILE, if you know them");
}

/// Both peers write "." for a model that is one file, the specification says its base name.
void unify_single_name(Statement& statement, const artifact::ModelFolder& folder) {
  if (folder.is_single_file() && statement.resources.size() == 1 &&
      statement.resources.front().name == folder.base_name()) {
    statement.resources.front().name = ".";
  }
}

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

Result<Verifier> Verifier::open(artifact::ModelFolder folder, const std::filesystem::path& path,
                                const TrustedKeys& trusted) {
  const std::string bundle_name = bundle_path(folder, path).filename().string();
  MLXGUARD_TRY_ASSIGN(const std::string untrusted_text, read_bundle_file(folder, path));
  auto bundle = parse_bundle(untrusted_text);
  if (!bundle) return about_bundle(std::move(bundle).error(), bundle_name);
  auto signer = find_signer(*bundle, trusted);
  if (!signer) return about_bundle(std::move(signer).error(), bundle_name);
  auto statement = parse_statement(as_text(bundle->payload));
  if (!statement) return about_bundle(std::move(statement).error(), bundle_name);
  unify_single_name(*statement, folder);

  std::vector<std::string> ignored = statement->ignored_paths;
  ignored.emplace_back(kUnfinishedSignatureFile);
  MLXGUARD_TRY_ASSIGN(auto entries, folder.enumerate(ignored));
  Verifier verifier(std::move(folder), *std::move(statement), std::move(entries));
  verifier.report_.signer = (*signer)->key.fingerprint();
  verifier.report_.signer_name = (*signer)->name;
  return verifier;
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
