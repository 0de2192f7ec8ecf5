// SPDX-License-Identifier: Apache-2.0
// The in-toto statement of a model signature (OpenSSF Model Signing v1.0): which files, with which
// digests. Parsed only after its signature verified; strict all the same, since signers make
// mistakes and other tools read the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/model_folder.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace mlxguard::signature {

/// Of a signature v1.0, or of the release before it (see LegacyStatements).
enum class StatementForm : std::uint8_t { kCurrent, kLegacy };

struct Statement {
  StatementForm form = StatementForm::kCurrent;
  std::string subject_name;
  std::string root_digest;  ///< hex SHA-256 over the raw resource digests, in listed order
  crypto::HashAlgorithm algorithm = crypto::HashAlgorithm::kSha256;
  std::uint64_t shard_bytes = 0;  ///< 0: the method `files`
  artifact::Links links = artifact::Links::kRefused;
  std::vector<std::string> ignored_paths;
  /// As listed. Of the method `shards` each has its start and size; else the size is 0, since it is
  /// no part of a statement.
  std::vector<artifact::FileDigest> resources;

  [[nodiscard]] artifact::HashPlan plan() const { return {algorithm, shard_bytes}; }
};

/// `https://model_signing/Digests/v0.1` (model-signing 0.2): digests of whole files as subjects,
/// and no root digest: nothing says that the list is complete but the signature itself.
enum class LegacyStatements : std::uint8_t { kRefused, kAllowed };

/// Whether default_ignored_paths() are excluded even where a statement does not say so, as the
/// specification has it, or only what it says. A statement that says nothing excludes the default
/// ones.
enum class Exclusions : std::uint8_t { kDefaultAndStated, kStatedOnly };

struct StatementOptions {
  LegacyStatements legacy = LegacyStatements::kRefused;
  Exclusions exclusions = Exclusions::kDefaultAndStated;
};

/// Signatures of several count together only if they are over the same thing: the same names and
/// digests, and the same rules for what is not covered.
[[nodiscard]] bool says_the_same(const Statement& left, const Statement& right);

/// The names of digests in statements and on the command line: sha256, blake2b, blake3.
/// Errors: kHashUnsupported.
[[nodiscard]] Result<crypto::HashAlgorithm> find_hash(std::string_view name);
[[nodiscard]] std::string_view name_of_hash(crypto::HashAlgorithm algorithm);

/// Paths at the top of a model that no signature covers (and no engine may load).
[[nodiscard]] const std::vector<std::string>& default_ignored_paths();

/// A name that a resource may have: UTF-8, relative, no empty, "." or ".." component, no control
/// characters; or "." alone for a model that is a single file.
[[nodiscard]] bool is_resource_name(std::string_view name);

/// Of a file, or `<path>:<start>:<end>` of a shard.
[[nodiscard]] std::string resource_name(const artifact::FileDigest& resource,
                                        std::uint64_t shard_bytes);

/// Errors: kBundleField, kPredicateType, kLegacyFormat, kHashUnsupported, kMethodUnsupported,
/// kNoResources, kResourceName, kResourceDuplicate, kShard, kIgnoredRead, kArtifactTooMany,
/// kRootDigest.
[[nodiscard]] Result<Statement> parse_statement(std::string_view text,
                                                const StatementOptions& options = {});
[[nodiscard]] std::string write_statement(const Statement& statement);

/// Over the resources in the order given.
[[nodiscard]] std::string root_digest_of(const std::vector<artifact::FileDigest>& resources);

/// What the tools make of the same digests: they disagree about the order (a-b before or after a/b,
/// and eleven shards or more). For comparing identities across tools; each verifies the other's.
struct RootDigests {
  std::string by_name;       ///< the specification, this program, model-transparency-go
  std::string by_component;  ///< the Python package model-signing
};
[[nodiscard]] RootDigests root_digests_of(std::vector<artifact::FileDigest> resources,
                                          std::uint64_t shard_bytes);

/// Sorts as the specification says: by the name, with a shard's range, as bytes of UTF-8.
void sort_by_resource_name(std::vector<artifact::FileDigest>& resources, std::uint64_t shard_bytes);

}  // namespace mlxguard::signature
