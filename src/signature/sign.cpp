// SPDX-License-Identifier: Apache-2.0
#include "signature/sign.h"

#include <algorithm>

#include "signature/bundle.h"
#include "signature/bundle_file.h"
#include "signature/statement.h"

namespace mlxguard::signature {
namespace {

Result<std::vector<std::string>> ignored_paths(const SignOptions& options) {
  std::vector<std::string> ignored = default_ignored_paths();
  for (const std::string& path : options.ignored) {
    // The specification knows no patterns: an asterisk would silently ignore nothing.
    if (path == "." || !is_resource_name(path) || path.find_first_of("*?[") != std::string::npos) {
      return make_error(ErrorCode::kUsage, "expected a relative path inside the model to ignore")
          .about(path);
    }
    if (std::find(ignored.begin(), ignored.end(), path) == ignored.end()) ignored.push_back(path);
  }
  return ignored;
}

}  // namespace

Result<SignedModel> sign_model(const artifact::ModelFolder& folder, const crypto::Signer& key,
                               const SignOptions& options) {
  Statement statement;
  statement.subject_name = folder.base_name();
  MLXGUARD_TRY_ASSIGN(statement.ignored_paths, ignored_paths(options));
  std::vector<std::string> skipped = statement.ignored_paths;
  skipped.emplace_back(kUnfinishedSignatureFile);
  MLXGUARD_TRY_ASSIGN(const auto entries, folder.enumerate(skipped));
  SignedModel model;
  for (const artifact::FileEntry& entry : entries) {
    if (!is_resource_name(entry.name)) {
      return make_error(ErrorCode::kArtifactName, "expected a file name without control characters")
          .about(entry.name);
    }
    model.bytes += entry.size_bytes;
  }
  MLXGUARD_TRY_ASSIGN(statement.resources,
                      folder.hash(entries, statement.algorithm, options.progress));
  statement.root_digest = root_digest_of(statement.resources);

  const std::string payload = write_statement(statement);
  Bundle bundle;
  bundle.key_hint = key.public_key().fingerprint();
  bundle.payload.assign(payload.begin(), payload.end());
  MLXGUARD_TRY_ASSIGN(bundle.signature, key.sign(pre_authentication_encoding(bundle.payload)));
  model.bundle = write_bundle(bundle);
  model.root_digest = statement.root_digest;
  model.files = entries.size();
  return model;
}

}  // namespace mlxguard::signature
