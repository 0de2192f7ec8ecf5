// SPDX-License-Identifier: Apache-2.0
// Verifier: the only maker of a VerifiedModel. Station by station: bundle, signature under a
// trusted key, statement, enumeration, names, bytes, digests. Input: a folder chosen by an
// attacker. Trusted: the operator's public keys. Stricter than the peers: the root digest is
// recomputed, names are checked before any content is read, and a signed file under an ignored path
// is refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "artifact/model_folder.h"
#include "artifact/receipt.h"
#include "base/result.h"
#include "signature/findings.h"
#include "signature/statement.h"
#include "signature/trusted_keys.h"
#include "signature/verified_model.h"
#include "trust/policy.h"
#include "trust/signer.h"

namespace mlxguard::signature {

/// What a verification of the bytes rests on.
enum class Basis : std::uint8_t {
  kDigests,  ///< every byte was hashed now
  kReceipt,  ///< hashed when the store admitted them, and by the file system not touched since
};

struct VerifyReport {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::string root_digest;  ///< lowercase hex: the model's identity
  /// What the tools make of the same digests, for comparing identities across them.
  RootDigests root_digests;
  Basis basis = Basis::kDigests;
  std::string signer;       ///< fingerprint of the key of the first bundle
  std::string signer_name;  ///< what the operator calls it
  /// Everyone whose bundle verified and lists the same files with the same digests; the first
  /// bundle's signer first.
  std::vector<trust::Signer> signers{};
  /// Bundles of further signers that do not count, and why (subject: the bundle's file).
  std::vector<Error> not_counted{};
  /// Old forms that its bundles use.
  std::vector<std::string> legacy{};
  /// What the trust policy said, where it was asked.
  std::optional<trust::Judgement> judgement{};
  /// What was hashed where it lies, by name; without those that were touched meanwhile.
  std::vector<std::pair<std::string, artifact::FileIdentity>> hashed{};
};

/// A bundle as it was verified.
struct BundleText {
  std::string name;  ///< of its file, below the model or beside it
  std::string text;
};

/// Why a model is refused: the first finding is the error.
struct Refusal {
  Error error;
  Findings findings;
  /// What the trust policy said, as far as it was asked.
  std::optional<trust::Judgement> judgement{};
};

class Verifier {
 public:
  /// From the bundle to the list of files; reads no file but the bundles. Where the first bundle's
  /// signer does not count (unknown, revoked, expired), the first of the further ones whose signer
  /// does stands in for it. Errors, in this order:
  /// kSignatureMissing; those of parse_bundle; kNoTrustedKeys, kSignerUntrusted, kSignatureInvalid;
  /// those of parse_statement; those of ModelFolder::enumerate.
  [[nodiscard]] static Result<Verifier> open(artifact::ModelFolder folder,
                                             const std::filesystem::path& path,
                                             const TrustedKeys& trusted);

  /// What was found and who signed it; before the digests are checked it is only a claim.
  [[nodiscard]] const VerifyReport& report() const { return report_; }
  /// What differs, as far as it is known; empty as long as nothing does.
  [[nodiscard]] const Findings& findings() const { return findings_; }

  /// The signed names are the names that are there: kFileMissing, kFileUnsigned.
  [[nodiscard]] Result<void> check_names();
  /// Copies the files into sealed memory and hashes what is there now. After check_names().
  [[nodiscard]] Result<void> take_snapshot(const artifact::Progress& progress);
  /// Copies the files into sealed memory without hashing them, on the word of a receipt of the
  /// store. After check_names(). kStoreReceipt if the receipt is of another list of files, or if
  /// the file system saw a change of any of them: then only take_snapshot() can tell.
  [[nodiscard]] Result<void> take_snapshot(const artifact::Receipt& receipt,
                                           const artifact::Progress& progress);
  /// Over names, ranges and signed digests: what a receipt is bound to.
  [[nodiscard]] std::string manifest_digest() const;
  /// Copies the files below a folder and hashes what was copied; no VerifiedModel comes of it.
  /// After check_names(). kDigestMismatch.
  [[nodiscard]] Result<void> copy_verified(const UniqueFd& destination,
                                           const artifact::Progress& progress);
  [[nodiscard]] const std::vector<artifact::FileEntry>& entries() const { return entries_; }
  [[nodiscard]] const artifact::ModelFolder& folder() const { return folder_; }

  /// The digests of the sealed bytes are the signed ones, or kDigestMismatch. After
  /// take_snapshot().
  [[nodiscard]] Result<void> check_digests();
  /// The sealed files; none before take_snapshot() and after verify().
  [[nodiscard]] std::span<const artifact::SnapshotFile> files() const { return files_; }
  /// The first bytes of a file: of the sealed bytes if there are any, else of what lies there now.
  [[nodiscard]] Result<std::vector<std::uint8_t>> read_head(const std::string& name,
                                                            std::size_t bytes_max) const;
  /// The end of the line: signed (check_digests()) and allowed. kTrustNoSource if the approval is
  /// of another model.
  [[nodiscard]] Result<VerifiedModel> verify(std::string served_name,
                                             const trust::Approval& approval);
  /// The bundles that counted; the first one first.
  [[nodiscard]] std::span<const BundleText> bundles() const { return bundles_; }

  /// Without a snapshot: hashes the files where they are, and finds everything that differs. Good
  /// for an answer to a person, never for loading: the files may change right after.
  [[nodiscard]] Result<void> check_in_place(const artifact::Progress& progress);

 private:
  Verifier(artifact::ModelFolder folder, Statement statement,
           std::vector<artifact::FileEntry> entries);
  [[nodiscard]] Result<void> conclude(Findings findings);
  [[nodiscard]] Result<std::vector<artifact::FileDigest>> hash_in_place(
      std::span<const artifact::FileEntry> entries, const artifact::Progress& progress);
  /// Takes the bundles of further signers in, or notes why one does not count.
  [[nodiscard]] Result<void> read_further(const std::filesystem::path& path,
                                          const TrustedKeys& trusted, const Statement& statement);

  enum class Step : std::uint8_t {
    kOpened,
    kNamesChecked,
    kSnapshotTaken,
    kReceiptBelieved,
    kDigestsChecked
  };
  Step step_ = Step::kOpened;
  artifact::ModelFolder folder_;
  artifact::HashPlan plan_;
  std::vector<artifact::FileDigest> signed_files_;  ///< sorted by name and start
  std::vector<artifact::FileEntry> entries_;        ///< sorted by name
  std::vector<artifact::SnapshotFile> files_;
  std::vector<artifact::FileDigest> digests_;  ///< of files_, in their order
  std::vector<BundleText> bundles_;
  VerifyReport report_;
  Findings findings_;
};

}  // namespace mlxguard::signature
