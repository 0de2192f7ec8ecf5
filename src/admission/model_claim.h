// SPDX-License-Identifier: Apache-2.0
// What the trust policy is asked about: made of what verification found. Input: bytes chosen by an
// attacker; the content is read only when its digests are known to be the signed ones.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "inspect/inspector.h"
#include "signature/verify.h"
#include "trust/claim.h"
#include "trust/policy.h"

namespace mlxguard::admission {

/// From where a model comes, as a policy knows its sources.
struct Origin {
  std::filesystem::path location{};  ///< absolute, without links
  std::string hugging_face{};        ///< ORG/NAME by the caller's word, or empty
};
/// `hugging_face` empty: the id of the Hub's cache folder, if the model lies in one.
[[nodiscard]] Origin origin_at(std::filesystem::path location, std::string hugging_face);

/// Without content.
[[nodiscard]] trust::Claim claim_of(const Origin& origin, const signature::VerifyReport& report);

/// Makes whoever looks into files for what is dangerous; asked for only where a source refuses
/// findings. Empty: nobody here can, and such a source refuses.
using OpenInspector = std::function<Result<std::unique_ptr<inspect::Inspector>>()>;

/// Bytes whose digests were checked: how to read and to inspect them.
struct ContentBytes {
  /// The first bytes of a file, at most so many.
  std::function<Result<std::vector<std::uint8_t>>(const std::string& name, std::size_t bytes_max)>
      head;
  std::function<Result<inspect::Report>(inspect::Inspector& inspector)> inspect;
};
/// The sealed bytes of a verifier.
[[nodiscard]] ContentBytes sealed_bytes(const signature::Verifier& verifier);
/// Files that lie at `path`: for answers to people, and for folders that nobody else can write.
[[nodiscard]] ContentBytes bytes_at(const artifact::ModelFolder& folder,
                                    std::filesystem::path path);

/// The decision, or what it takes for it to be refused: the policy is asked twice, before any file
/// but the bundle is read and when the digests were checked.
class PolicyStation {
 public:
  PolicyStation(const trust::Policy& policy, const Origin& origin,
                const signature::VerifyReport& report, WallTime now)
      : policy_(policy), claim_(claim_of(origin, report)), now_(now) {}

  /// Refuses what is known to be refused already.
  [[nodiscard]] Result<void> ask_early();
  /// Whether the source lets a receipt of the store stand for hashing. After ask_early().
  [[nodiscard]] trust::Receipts receipts() const;
  /// After the digests of `bytes` were checked.
  [[nodiscard]] Result<trust::Approval> decide(const signature::Verifier& verifier,
                                               const ContentBytes& bytes,
                                               const OpenInspector& open_inspector);
  /// What the inspection gave, if the source asked for one.
  [[nodiscard]] const std::optional<inspect::Report>& inspection() const { return inspection_; }
  /// What the policy said last.
  [[nodiscard]] const trust::Judgement& judgement() const { return judgement_; }
  [[nodiscard]] const trust::Claim& claim() const { return claim_; }

 private:
  [[nodiscard]] Result<void> inspect(const ContentBytes& bytes,
                                     const OpenInspector& open_inspector);
  const trust::Policy& policy_;
  trust::Claim claim_;
  WallTime now_;
  trust::Judgement judgement_;
  std::optional<inspect::Report> inspection_;
};

/// Formats and notes, of bytes whose digests were checked. Errors: kManifestInvalid, kTooLarge,
/// kIo.
[[nodiscard]] Result<trust::Content> content_of(const signature::Verifier& verifier,
                                                const ContentBytes& bytes);

}  // namespace mlxguard::admission
