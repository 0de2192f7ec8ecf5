// SPDX-License-Identifier: Apache-2.0
// Policy: decides which model may be used, and says why in words. Input: a claim whose signers are
// proven. Output: an Approval, which nothing else can make and without which there is no
// VerifiedModel. What a policy cannot find out, it refuses.
//
// The source that counts is the most specific one that matches: a digest before a path before a
// Hugging Face id; of paths the one with most components; of ids one without wildcards, then the
// one with most literal characters, then the first by bytes. That is one source always, never a
// mixture of several.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/key_store.h"
#include "trust/claim.h"
#include "trust/key_ring.h"
#include "trust/policy_file.h"
#include "trust/policy_memory.h"

namespace mlxguard::trust {

/// One thing that was looked at.
struct Condition {
  enum class State : std::uint8_t { kPassed, kFailed, kPending };
  /// Whether a source in mode `warn` lets it through. What is revoked never is.
  enum class Weight : std::uint8_t { kRule, kAlways };
  std::string rule;  ///< "source", "signer", "threshold", ... : the same in events
  State state = State::kPassed;
  Weight weight = Weight::kRule;
  std::string said{};                     ///< one sentence for people
  ErrorCode code = ErrorCode::kInternal;  ///< if it failed
  std::string subject{};
  std::string expected{};
  std::string actual{};
};

/// What a policy says of one claim: every condition, also of a model that passes.
struct Judgement {
  std::string source;  ///< empty: none matches
  std::string match;   ///< which rule of the source matched: "path /srv/models"
  Mode mode = Mode::kEnforce;
  std::vector<Condition> conditions;
  std::vector<Signer> signers;  ///< the ones that count
  [[nodiscard]] const Condition* first_failed() const;
  [[nodiscard]] bool refuses() const;  ///< a failure that the mode does not let through, known now
};

/// Proof that a policy allowed the model of this root digest.
class Approval {
 public:
  [[nodiscard]] const std::string& root_digest() const { return root_digest_; }
  [[nodiscard]] const std::string& source() const { return judgement_.source; }
  [[nodiscard]] const std::vector<Signer>& signers() const { return judgement_.signers; }
  [[nodiscard]] const Judgement& judgement() const { return judgement_; }
  /// Failed conditions that mode `warn` let through.
  [[nodiscard]] std::vector<Condition> warnings() const;
  [[nodiscard]] Receipts receipts() const { return receipts_; }

 private:
  friend class Policy;
  Approval() = default;
  std::string root_digest_;
  Judgement judgement_;
  Receipts receipts_ = Receipts::kRefuse;
  std::string memory_version_;  ///< set where admitting it is to be remembered
  std::vector<std::string> memory_keys_;
  std::string memory_name_;
};

/// Where a policy is, and what it is held against.
struct PolicyPlaces {
  std::filesystem::path state;
  std::filesystem::path policy_file;  ///< empty: trust.toml in the state folder, if it is there
  std::string root_key;               ///< fingerprint; empty: the policy need not be signed
  std::vector<std::filesystem::path> public_keys;  ///< trusted besides those of the key folder

  [[nodiscard]] std::filesystem::path file() const;
};

class Policy {
 public:
  /// Reads, authenticates and resolves trust.toml; without one (and without a root key or a
  /// configured file) the implicit policy. Errors: kTrustPolicy, kTrustPolicySignature,
  /// kTrustPolicyExpired, kTrustPolicyRollback, kUnsafePermissions, and those of KeyRing::load.
  [[nodiscard]] static Result<Policy> load(const PolicyPlaces& places, WallTime now);
  /// One source that is everything, and every key that authenticates: how it is without a
  /// trust.toml.
  [[nodiscard]] static Policy implicit();

  [[nodiscard]] bool is_implicit() const { return implicit_; }
  [[nodiscard]] bool is_signed() const { return !signed_by_.empty(); }
  [[nodiscard]] const std::string& signed_by() const { return signed_by_; }
  [[nodiscard]] const PolicyFile& file() const { return file_; }
  [[nodiscard]] const KeyRing& ring() const { return ring_; }
  /// Files with public keys: those of the places and those that the policy names.
  [[nodiscard]] std::span<const std::filesystem::path> key_files() const { return key_files_; }

  /// What is known to be refused already, and what is still open (kPending).
  [[nodiscard]] Result<Judgement> judge(const Claim& claim, WallTime now) const;
  /// The decision. Errors: the code of the first condition that failed; kPending counts as failed.
  [[nodiscard]] Result<Approval> decide(const Claim& claim, WallTime now) const;
  /// After the model was admitted: its version is the lowest one from now on, if its source says
  /// so.
  [[nodiscard]] Result<void> remember(const Approval& approval) const;

 private:
  friend class Judge;
  Policy() = default;
  [[nodiscard]] Result<void> resolve();
  [[nodiscard]] Result<void> check_current(const PolicyPlaces& places, WallTime now) const;
  bool implicit_ = false;
  std::string signed_by_;
  PolicyFile file_;
  KeyRing ring_;
  std::vector<std::filesystem::path> key_files_;
  std::optional<PolicyMemory> memory_;
};

/// A signed policy has version and expires, and holds fingerprints where a name or a path would
/// mean what the disk says. kTrustPolicy.
[[nodiscard]] Result<void> check_signable(const PolicyFile& file);

/// Lowercase hex SHA-256 in DER of the one certificate in a PEM file. kTrustPolicy;
/// kUnsafePermissions.
[[nodiscard]] Result<std::string> authority_digest_of(const std::filesystem::path& file);

/// A policy of this version is not older than one that was seen at these places.
/// kTrustPolicyRollback.
[[nodiscard]] Result<void> check_not_older(const PolicyPlaces& places, std::uint64_t version);

/// A failed condition as an error, naming source and rule.
[[nodiscard]] Error error_of(const Condition& failed, const Judgement& judgement);
/// Where there is no policy: taking it away must not open what it closed. kTrustPolicyRollback.
[[nodiscard]] Result<void> check_never_seen(const PolicyPlaces& places);

/// The error of a refused judgement: the first failed condition's code, source and rule.
[[nodiscard]] Error refusal_of(const Judgement& judgement);

}  // namespace mlxguard::trust
