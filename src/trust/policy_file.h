// SPDX-License-Identifier: Apache-2.0
// PolicyFile: trust.toml as a value. The operator writes it, so it means what it says, but a slip
// must not weaken anything: an unknown key, a value of another type, a rule that can never hold or
// two rules for one thing are errors (kTrustPolicy), never ignored. What it decides is in
// trust/policy.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "trust/model_version.h"

namespace mlxguard::trust {

/// What happens to a model that a source's rules refuse. There is no third.
enum class Mode : std::uint8_t { kEnforce, kWarn };
[[nodiscard]] std::string_view name_of(Mode mode);

/// By what a source knows its models.
enum class MatchKind : std::uint8_t { kDigest, kPath, kHuggingFace };
[[nodiscard]] std::string_view name_of(MatchKind kind);  ///< "digest", "path", "hugging_face"

enum class Rollback : std::uint8_t { kAllow, kRefuse };
enum class Receipts : std::uint8_t { kRefuse, kAllow };

/// Both ends belong to it; an absent end is open.
struct Window {
  std::optional<WallTime> not_before{};
  std::optional<WallTime> not_after{};
  [[nodiscard]] bool holds(WallTime now) const;
  [[nodiscard]] std::string text() const;  ///< "2026-01-01T00:00:00.000Z to ..."
  bool operator==(const Window&) const = default;
};

/// One allowed signer: a key, or whoever an authority certifies to be `identity`.
struct SignerRule {
  std::string key{};                   ///< fingerprint, or a name in the key folder
  std::filesystem::path public_key{};  ///< PEM file of that key, if it is not in the key folder
  std::filesystem::path authority{};   ///< PEM file of the root certificate
  std::string authority_digest{};      ///< lowercase hex SHA-256 of the root certificate in DER
  std::string identity{};              ///< "email:..", "uri:..", "dns:.." or "subject:.."
  Window window{};
  [[nodiscard]] bool is_certificate() const { return !identity.empty(); }
  bool operator==(const SignerRule&) const = default;
};

struct SourceRule {
  std::string name{};
  MatchKind match = MatchKind::kPath;
  std::vector<std::string> patterns{};  ///< any of them; paths are absolute and normal
  Mode mode = Mode::kEnforce;
  std::vector<SignerRule> signers{};
  std::int64_t threshold = 1;
  std::vector<std::string> formats{};  ///< empty: any
  Window window{};
  std::optional<ModelVersion> min_version{};
  Rollback rollback = Rollback::kAllow;
  std::vector<std::string> refuse_findings{};
  Receipts receipts = Receipts::kRefuse;
  std::vector<std::string> legacy{};
  std::vector<std::filesystem::path> crls{};
  bool operator==(const SourceRule&) const = default;
};

struct PolicyFile {
  std::uint64_t version = 0;
  std::optional<WallTime> expires{};
  Mode mode = Mode::kEnforce;  ///< of models that no source matches, and of sources that do not say
  std::vector<std::string> revoked_keys{};
  std::vector<std::string> revoked_serials{};  ///< lowercase hex without leading zeros
  std::vector<std::string> revoked_models{};
  std::vector<SourceRule> sources{};  ///< by name
  [[nodiscard]] const SourceRule* find(std::string_view name) const;
  bool operator==(const PolicyFile&) const = default;
};

/// Relative paths are relative to `folder`. Errors: kTrustPolicy, naming line and key; kTooLarge.
[[nodiscard]] Result<PolicyFile> parse_policy(std::string_view text,
                                              const std::filesystem::path& folder);

/// "email:a@b", "uri:https://..", "dns:host" or "subject:CN=..": what has no prefix gets the one
/// that it looks like. kTrustPolicy if it looks like none.
[[nodiscard]] Result<std::string> normal_identity(std::string_view text);
/// A name a source may have: letters, digits, '.', '_', '-'. kTrustPolicy.
[[nodiscard]] Result<void> check_source_name(std::string_view name);
/// Lowercase hex without colons and leading zeros. kTrustPolicy.
[[nodiscard]] Result<std::string> normal_serial(std::string_view text);

struct PolicyKey {
  std::string_view table;  ///< "", "revoked", "sources.NAME", "sources.NAME.signers"
  std::string_view name;
  std::string_view meaning;
};
/// Every key of trust.toml. The example file is tested against this.
[[nodiscard]] std::span<const PolicyKey> policy_keys();

/// The old forms of signatures that a source may allow, with their meaning.
struct LegacyForm {
  std::string_view name;
  std::string_view meaning;
};
[[nodiscard]] std::span<const LegacyForm> legacy_forms();

}  // namespace mlxguard::trust
