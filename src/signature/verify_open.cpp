// SPDX-License-Identifier: Apache-2.0
// The first half of verification: from a folder to the list of files that a trusted signer vouches
// for. Reads no file but the bundle.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "signature/bundle.h"
#include "signature/bundle_file.h"
#include "signature/signer.h"
#include "signature/verify.h"

namespace mlxguard::signature {
namespace {

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

/// Who made the signature is not, or no more, somebody who counts: another signer's bundle beside
/// it may be. A bundle that is broken, or does not verify, is no such case.
bool says_nobody_who_counts(ErrorCode code) {
  constexpr std::array kCodes{ErrorCode::kSignerUntrusted,
                              ErrorCode::kKeyRevoked,
                              ErrorCode::kKeyExpired,
                              ErrorCode::kCertificateUntrusted,
                              ErrorCode::kCertificateExpired,
                              ErrorCode::kCertificateRevoked,
                              ErrorCode::kCertificateNotYetValid};
  return std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
}

/// A bundle whose signature is good, by somebody who is trusted; its statement is not read yet.
struct Authentic {
  Bundle bundle;
  trust::Signer signer;
  std::vector<std::string> legacy{};
};

Result<Authentic> authentic(std::string_view untrusted_text, const TrustedKeys& trusted,
                            LegacyStatements legacy) {
  const auto older =
      legacy == LegacyStatements::kAllowed ? OlderMediaTypes::kAllowed : OlderMediaTypes::kRefused;
  MLXGUARD_TRY_ASSIGN(Bundle bundle, parse_bundle(untrusted_text, Material::kEither, older));
  std::vector<std::string> forms;
  if (bundle.older_media_type) forms.emplace_back(kLegacyMediaType);
  auto* const read_legacy = legacy == LegacyStatements::kAllowed ? &forms : nullptr;
  MLXGUARD_TRY_ASSIGN(trust::Signer signer, authenticate(bundle, trusted, read_legacy));
  return Authentic{std::move(bundle), std::move(signer), std::move(forms)};
}

/// The first of the further bundles by somebody who counts; `text` is set to it.
std::optional<Authentic> another_authentic(const std::vector<FurtherBundle>& further,
                                           const TrustedKeys& trusted, std::string& text) {
  for (const FurtherBundle& candidate : further) {
    if (!candidate.text) continue;
    auto one = authentic(*candidate.text, trusted, LegacyStatements::kRefused);
    if (!one) continue;
    text = *candidate.text;
    return *std::move(one);
  }
  return std::nullopt;
}

}  // namespace

Result<Verifier> Verifier::open(artifact::ModelFolder folder, const std::filesystem::path& path,
                                const TrustedKeys& trusted) {
  const std::string bundle_name = bundle_path(folder, path).filename().string();
  MLXGUARD_TRY_ASSIGN(std::string text, read_bundle_file(folder, path));
  auto first = authentic(text, trusted, trusted.legacy());
  std::optional<Error> fallen;  // of the first bundle, where another one stands in for it
  if (!first) {
    Error why = about_bundle(std::move(first).error(), bundle_name);
    if (!says_nobody_who_counts(why.code)) return why;
    MLXGUARD_TRY_ASSIGN(const auto further, read_further_bundles(folder, path));
    auto other = another_authentic(further, trusted, text);
    if (!other) return why;
    fallen = std::move(why);
    first = *std::move(other);
  }
  StatementOptions forms;
  forms.legacy = fallen ? LegacyStatements::kRefused : trusted.legacy();
  auto statement = parse_statement(as_text(first->bundle.payload), forms);
  if (!statement) return about_bundle(std::move(statement).error(), bundle_name);
  if (statement->form == StatementForm::kLegacy) first->legacy.emplace_back(kLegacyStatement);

  folder.set_links(statement->links);  // as the signer recorded it
  std::vector<std::string> ignored = statement->ignored_paths;
  ignored.emplace_back(kUnfinishedSignatureFile);
  MLXGUARD_TRY_ASSIGN(auto entries, folder.enumerate(ignored));
  const Statement said = *statement;
  Verifier verifier(std::move(folder), *std::move(statement), std::move(entries));
  verifier.report_.legacy = std::move(first->legacy);
  verifier.report_.signer = first->signer.fingerprint;
  verifier.report_.signer_name = first->signer.name;
  if (fallen) verifier.report_.not_counted.push_back(*std::move(fallen));
  verifier.report_.signers.push_back(std::move(first->signer));
  // Under the first one's name, whichever it is: by that it is found again in the store.
  verifier.bundles_.push_back({bundle_name, std::move(text)});
  MLXGUARD_TRY(verifier.read_further(path, trusted, said));
  return verifier;
}

Result<void> Verifier::read_further(const std::filesystem::path& path, const TrustedKeys& trusted,
                                    const Statement& first) {
  MLXGUARD_TRY_ASSIGN(auto bundles, read_further_bundles(folder_, path));
  for (FurtherBundle& further : bundles) {
    if (further.text && *further.text == bundles_.front().text) continue;  // it stands in already
    const auto take = [&]() -> Result<trust::Signer> {
      MLXGUARD_TRY_ASSIGN(const std::string text, further.text);
      MLXGUARD_TRY_ASSIGN(Authentic one, authentic(text, trusted, LegacyStatements::kRefused));
      MLXGUARD_TRY_ASSIGN(const Statement statement, parse_statement(as_text(one.bundle.payload)));
      if (!says_the_same(statement, first)) {
        return make_error(ErrorCode::kRootDigest,
                          "signs another list of files than the first bundle")
            .compared(first.root_digest, statement.root_digest);
      }
      return std::move(one.signer);
    };
    auto signer = take();
    if (!signer) {
      report_.not_counted.push_back(about_bundle(std::move(signer).error(), further.name));
      continue;
    }
    report_.signers.push_back(*std::move(signer));
    bundles_.push_back({further.name, *std::move(further.text)});
  }
  return {};
}

}  // namespace mlxguard::signature
