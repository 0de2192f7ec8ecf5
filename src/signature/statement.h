// SPDX-License-Identifier: Apache-2.0
// The in-toto statement of a model signature (OpenSSF Model Signing v1.0): which files, with which
// digests. Parsed only after its signature verified; strict all the same, since signers make
// mistakes and other tools read the same bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "artifact/model_folder.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace mlxguard::signature {

struct Statement {
  std::string subject_name;
  std::string root_digest;  ///< hex SHA-256 over the raw resource digests, in listed order
  crypto::HashAlgorithm algorithm = crypto::HashAlgorithm::kSha256;
  std::vector<std::string> ignored_paths;
  std::vector<artifact::FileDigest> resources;  ///< sizes are not part of a statement: 0
};

/// Paths at the top of a model that no signature covers (and no engine may load).
[[nodiscard]] const std::vector<std::string>& default_ignored_paths();

/// A name that a resource may have: UTF-8, relative, no empty, "." or ".." component, no control
/// characters; or "." alone for a model that is a single file.
[[nodiscard]] bool is_resource_name(std::string_view name);

/// Errors: kBundleField, kPredicateType, kHashUnsupported, kMethodUnsupported, kNoResources,
/// kResourceName, kResourceDuplicate, kIgnoredRead, kArtifactTooMany, kRootDigest.
[[nodiscard]] Result<Statement> parse_statement(std::string_view text);
[[nodiscard]] std::string write_statement(const Statement& statement);

[[nodiscard]] std::string root_digest_of(const std::vector<artifact::FileDigest>& resources);

}  // namespace mlxguard::signature
