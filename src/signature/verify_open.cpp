// SPDX-License-Identifier: Apache-2.0
// The first half of verification: from a folder to the list of files that a trusted signer vouches
// for. Reads no file but the bundle.
#include <algorithm>
#include <array>
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

}  // namespace

Result<Verifier> Verifier::open(artifact::ModelFolder folder, const std::filesystem::path& path,
                                const TrustedKeys& trusted) {
  const std::string bundle_name = bundle_path(folder, path).filename().string();
  MLXGUARD_TRY_ASSIGN(const std::string untrusted_text, read_bundle_file(folder, path));
  const auto older = trusted.legacy() == LegacyStatements::kAllowed ? OlderMediaTypes::kAllowed
                                                                    : OlderMediaTypes::kRefused;
  auto bundle = parse_bundle(untrusted_text, Material::kEither, older);
  if (!bundle) return about_bundle(std::move(bundle).error(), bundle_name);
  std::vector<std::string> legacy_forms;
  if (bundle->older_media_type) legacy_forms.emplace_back(kLegacyMediaType);
  auto signer = authenticate(*bundle, trusted, &legacy_forms);
  if (!signer) return about_bundle(std::move(signer).error(), bundle_name);
  StatementOptions forms;
  forms.legacy = trusted.legacy();
  auto statement = parse_statement(as_text(bundle->payload), forms);
  if (!statement) return about_bundle(std::move(statement).error(), bundle_name);
  if (statement->form == StatementForm::kLegacy) legacy_forms.emplace_back(kLegacyStatement);

  folder.set_links(statement->links);  // as the signer recorded it
  std::vector<std::string> ignored = statement->ignored_paths;
  ignored.emplace_back(kUnfinishedSignatureFile);
  MLXGUARD_TRY_ASSIGN(auto entries, folder.enumerate(ignored));
  const Statement first = *statement;
  Verifier verifier(std::move(folder), *std::move(statement), std::move(entries));
  verifier.report_.legacy = std::move(legacy_forms);
  verifier.report_.signer = signer->fingerprint;
  verifier.report_.signer_name = signer->name;
  verifier.report_.signers.push_back(*std::move(signer));
  verifier.bundles_.push_back({bundle_name, untrusted_text});
  MLXGUARD_TRY(verifier.read_further(path, trusted, first));
  return verifier;
}

Result<void> Verifier::read_further(const std::filesystem::path& path, const TrustedKeys& trusted,
                                    const Statement& first) {
  MLXGUARD_TRY_ASSIGN(auto bundles, read_further_bundles(folder_, path));
  for (FurtherBundle& further : bundles) {
    const auto take = [&]() -> Result<trust::Signer> {
      MLXGUARD_TRY_ASSIGN(const std::string text, further.text);
      MLXGUARD_TRY_ASSIGN(const Bundle bundle, parse_bundle(text, Material::kEither));
      MLXGUARD_TRY_ASSIGN(trust::Signer signer, authenticate(bundle, trusted));
      MLXGUARD_TRY_ASSIGN(const Statement statement, parse_statement(as_text(bundle.payload)));
      if (!says_the_same(statement, first)) {
        return make_error(ErrorCode::kRootDigest,
                          "signs another list of files than the first bundle")
            .compared(first.root_digest, statement.root_digest);
      }
      return signer;
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
