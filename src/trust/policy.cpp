// SPDX-License-Identifier: Apache-2.0
#include "trust/policy.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "trust/judge.h"
#include "trust/policy_signature.h"
#include "trust/state_file.h"

namespace mlxguard::trust {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPolicyName = "trust.toml";
constexpr const char* kImplicitSource = "every-trusted-key";

bool is_fingerprint(std::string_view text) { return text.size() == 64 && codec::from_hex(text); }

Result<std::string> key_of(const KeyRing& ring, const std::string& name) {
  if (is_fingerprint(name)) return name;
  std::string fingerprint;
  for (const RingKey& known : ring.keys()) {
    if (known.name != name) continue;
    if (!fingerprint.empty() && fingerprint != known.key.fingerprint()) {
      return make_error(ErrorCode::kTrustPolicy, "two keys have this name: give the fingerprint")
          .about(name);
    }
    fingerprint = known.key.fingerprint();
  }
  if (!fingerprint.empty()) return fingerprint;
  return make_error(ErrorCode::kTrustPolicy, "no key of this name is known here")
      .about(name)
      .hinting("mlxguard key list shows the names; a fingerprint with public_key works too");
}

/// The memory of a signed policy belongs to its root key, wherever the file lies; that of another
/// to its place, whatever a link there leads to.
std::string memory_key_of(const PolicyPlaces& places) {
  if (!places.root_key.empty()) return "root " + places.root_key;
  std::error_code problem;
  const fs::path file = fs::absolute(places.file(), problem);
  return "file " + (fs::weakly_canonical(file.parent_path(), problem) / file.filename()).string();
}

/// Two names of one key, or two files of one authority, would be one signer in two places.
Result<void> check_signers_differ(const SourceRule& source) {
  for (auto one = source.signers.begin(); one != source.signers.end(); ++one) {
    const auto same = [&](const SignerRule& other) {
      return one->is_certificate() ? one->authority_digest == other.authority_digest &&
                                         one->identity == other.identity
                                   : one->key == other.key;
    };
    if (std::none_of(std::next(one), source.signers.end(), same)) continue;
    return make_error(ErrorCode::kTrustPolicy,
                      "expected each signer once, found one of them under two names")
        .about("sources." + source.name);
  }
  return {};
}

bool is_older(const SeenVersions& seen, const std::string& key, std::uint64_t version) {
  const auto known = seen.policies.find(key);
  return known != seen.policies.end() && known->second > version;
}

Error older(const SeenVersions& seen, const PolicyPlaces& places, std::uint64_t version) {
  return make_error(ErrorCode::kTrustPolicyRollback, "an older policy than one seen before")
      .about(places.file().string())
      .compared("version " + std::to_string(seen.policies.at(memory_key_of(places))) + " or higher",
                "version " + std::to_string(version))
      .hinting("bring back the newest policy, or give this one a higher version");
}

Result<std::string> authenticate(const PolicyPlaces& places, const std::string& text,
                                 const crypto::KeyStore& store, WallTime now) {
  const fs::path file = signature_file_of(places.file());
  auto written = read_trusted_file(file, limits::kKeyRecordBytesMax);
  if (!written && written.error().code == ErrorCode::kNotFound) {
    return make_error(ErrorCode::kTrustPolicySignature,
                      "expected the policy to be signed by its root key, found no signature")
        .about(file.string())
        .hinting("mlxguard trust sign --key NAME, with the root key");
  }
  if (!written) return std::move(written).error();
  MLXGUARD_TRY_ASSIGN(const auto signatures, parse_policy_signatures(*written));
  MLXGUARD_TRY_ASSIGN(const auto signers, policy_signers(text, signatures));
  MLXGUARD_TRY_ASSIGN(const KeyRing ring, KeyRing::load(store, places.public_keys));
  return check_root(signers, places.root_key, ring, now);
}

std::string text_of(const Condition& failed, const Judgement& judgement) {
  const std::string where =
      judgement.source.empty() ? "the trust policy" : "source " + judgement.source;
  return where + ", " + failed.rule + ": " + failed.said;
}

}  // namespace

Result<void> check_not_older(const PolicyPlaces& places, std::uint64_t version) {
  MLXGUARD_TRY_ASSIGN(const SeenVersions seen, PolicyMemory(places.state).read());
  if (is_older(seen, memory_key_of(places), version)) return older(seen, places, version);
  return {};
}

Result<std::string> authority_digest_of(const fs::path& file) {
  MLXGUARD_TRY_ASSIGN(const std::string pem, read_trusted_file(file, limits::kPolicyBytesMax));
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  const auto begin = pem.find(kBegin);
  const auto end = pem.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin ||
      pem.find(kBegin, end) != std::string::npos) {
    return make_error(ErrorCode::kTrustPolicy, "expected one root certificate in PEM")
        .about(file.string());
  }
  std::string base64 = pem.substr(begin + kBegin.size(), end - begin - kBegin.size());
  std::erase_if(base64, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
  const auto der = codec::from_base64(base64);
  if (!der) {
    return make_error(ErrorCode::kTrustPolicy, "expected one root certificate in PEM")
        .about(file.string());
  }
  return codec::to_hex(crypto::sha256(*der));
}

Result<void> check_signable(const PolicyFile& file) {
  if (file.version == 0 || !file.expires) {
    return make_error(ErrorCode::kTrustPolicy, "expected version and expires in a signed policy")
        .hinting("mlxguard trust sign --key NAME --expires DATE sets both");
  }
  for (const SourceRule& source : file.sources) {
    for (const SignerRule& signer : source.signers) {
      const bool fixed =
          signer.is_certificate() ? !signer.authority_digest.empty() : is_fingerprint(signer.key);
      if (fixed) continue;
      return make_error(ErrorCode::kTrustPolicy,
                        "expected fingerprints in a signed policy: key in 64 digits, ca_sha256 "
                        "beside ca")
          .about("sources." + source.name);
    }
  }
  return {};
}

Result<void> check_never_seen(const PolicyPlaces& places) {
  MLXGUARD_TRY_ASSIGN(const SeenVersions seen, PolicyMemory(places.state).read());
  const auto known = seen.policies.find(memory_key_of(places));
  if (known == seen.policies.end()) return {};
  return make_error(ErrorCode::kTrustPolicyRollback,
                    "expected the trust policy that was here before")
      .about(places.file().string())
      .compared("version " + std::to_string(known->second) + " or higher", "none")
      .hinting(
          "restore it; to do without a policy again, take it out of trust/seen.json in the state "
          "folder");
}

fs::path PolicyPlaces::file() const {
  return policy_file.empty() ? state / kPolicyName : policy_file;
}

Policy Policy::implicit() {
  Policy policy;
  policy.implicit_ = true;
  SourceRule source;
  source.name = kImplicitSource;
  source.patterns = {"/"};
  policy.file_.sources.push_back(std::move(source));
  return policy;
}

Result<Policy> Policy::load(const PolicyPlaces& places, WallTime now) {
  const crypto::KeyStore store(places.state / "keys");
  auto text = read_trusted_file(places.file(), limits::kPolicyBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound && places.root_key.empty() &&
      places.policy_file.empty()) {
    MLXGUARD_TRY(check_never_seen(places));
    Policy policy = implicit();
    policy.key_files_ = places.public_keys;
    MLXGUARD_TRY_ASSIGN(policy.ring_, KeyRing::load(store, policy.key_files_));
    return policy;
  }
  if (!text && text.error().code == ErrorCode::kNotFound) {
    return make_error(
               places.root_key.empty() ? ErrorCode::kTrustPolicy : ErrorCode::kTrustPolicySignature,
               "expected a trust policy, found none")
        .about(places.file().string())
        .hinting("a configured policy that is gone is not the same as none: restore it");
  }
  if (!text) return std::move(text).error();
  Policy policy;
  if (!places.root_key.empty()) {
    // Before anything in it is read.
    auto signed_by = authenticate(places, *text, store, now);
    if (!signed_by) {
      Error error = std::move(signed_by).error();
      if (error.hint.empty()) {
        error.hint =
            "it was changed after it was signed, or by another key than the root key; if the "
            "change is yours: mlxguard trust sign --key NAME";
      }
      return std::move(error).about(places.file().string());
    }
    policy.signed_by_ = *std::move(signed_by);
  }
  auto file = parse_policy(*text, places.file().parent_path());
  if (!file) return std::move(file).error().with(places.file().string());
  policy.file_ = *std::move(file);
  if (policy.is_signed()) MLXGUARD_TRY(check_signable(policy.file_));
  policy.memory_.emplace(places.state);
  MLXGUARD_TRY(policy.check_current(places, now));
  policy.key_files_ = places.public_keys;
  for (const SourceRule& source : policy.file_.sources) {
    for (const SignerRule& signer : source.signers) {
      const auto& known = policy.key_files_;
      if (!signer.public_key.empty() &&
          std::find(known.begin(), known.end(), signer.public_key) == known.end()) {
        policy.key_files_.push_back(signer.public_key);
      }
    }
  }
  MLXGUARD_TRY_ASSIGN(policy.ring_, KeyRing::load(store, policy.key_files_));
  MLXGUARD_TRY(policy.resolve());
  return policy;
}

/// Expiry first: an expired policy says nothing any more, not even its version.
Result<void> Policy::check_current(const PolicyPlaces& places, WallTime now) const {
  if (file_.expires && now > *file_.expires) {
    return make_error(ErrorCode::kTrustPolicyExpired, "the trust policy has expired")
        .about(places.file().string())
        .compared("until " + codec::to_rfc3339(file_.expires->time_since_epoch().count()),
                  codec::to_rfc3339(now.time_since_epoch().count()))
        .hinting("review it, set a new expires and version, and sign it again if it is signed");
  }
  const std::string key = memory_key_of(places);
  MLXGUARD_TRY_ASSIGN(const SeenVersions seen, memory_->read());
  if (is_older(seen, key, file_.version)) return older(seen, places, file_.version);
  const auto known = seen.policies.find(key);
  if (file_.version == 0 || (known != seen.policies.end() && known->second == file_.version)) {
    return {};
  }
  return memory_->update([&](SeenVersions& now_seen) -> Result<void> {
    if (is_older(now_seen, key, file_.version)) return older(now_seen, places, file_.version);
    now_seen.policies[key] = file_.version;
    return {};
  });
}

/// Names and files become fingerprints: what is decided later does not ask the disk again.
Result<void> Policy::resolve() {
  for (SourceRule& source : file_.sources) {
    for (SignerRule& signer : source.signers) {
      const std::string where = "sources." + source.name;
      if (signer.is_certificate()) {
        MLXGUARD_TRY_ASSIGN(const std::string digest, authority_digest_of(signer.authority));
        if (!signer.authority_digest.empty() && signer.authority_digest != digest) {
          return make_error(ErrorCode::kTrustPolicy, "the file holds another certificate")
              .about(where)
              .compared(signer.authority_digest, digest);
        }
        signer.authority_digest = digest;
        continue;
      }
      auto key = key_of(ring_, signer.key);
      if (!key) return std::move(key).error().with(where);
      signer.key = *std::move(key);
      if (signer.public_key.empty()) continue;
      MLXGUARD_TRY_ASSIGN(const auto given, crypto::read_public_key(signer.public_key));
      if (given.fingerprint() != signer.key) {
        return make_error(ErrorCode::kTrustPolicy, "public_key is another key than key")
            .about(where)
            .compared(signer.key, given.fingerprint());
      }
    }
    MLXGUARD_TRY(check_signers_differ(source));
  }
  return {};
}

Result<Judgement> Policy::judge(const Claim& claim, WallTime now) const {
  SeenVersions seen;
  if (memory_) {
    MLXGUARD_TRY_ASSIGN(seen, memory_->read());
  }
  return Judge(*this, seen, claim, now).judge();
}

Result<Approval> Policy::decide(const Claim& claim, WallTime now) const {
  MLXGUARD_CHECK(!claim.root_digests.empty());
  SeenVersions seen;
  if (memory_) {
    MLXGUARD_TRY_ASSIGN(seen, memory_->read());
  }
  Judge judge(*this, seen, claim, now);
  Judgement judgement = judge.judge();
  for (Condition& condition : judgement.conditions) {
    if (condition.state != Condition::State::kPending) continue;
    condition.state = Condition::State::kFailed;  // it will not be known any more
    condition.weight = Condition::Weight::kAlways;
    condition.code = ErrorCode::kInspectIncomplete;
  }
  if (judgement.refuses()) return refusal_of(judgement);
  Approval approval;
  approval.root_digest_ = claim.root_digests.front();
  if (const SourceRule* source = judge.source(); source != nullptr) {
    approval.receipts_ = source->receipts;
    const bool known = claim.content && claim.content->notes.version;
    if (source->rollback == Rollback::kRefuse && known &&
        ModelVersion::parse(*claim.content->notes.version)) {
      approval.memory_version_ = *claim.content->notes.version;
      approval.memory_keys_ = Judge::memory_keys(*source, claim);
      approval.memory_name_ = claim.content->notes.name.value_or("");
    }
  }
  approval.judgement_ = std::move(judgement);
  return approval;
}

Result<void> Policy::remember(const Approval& approval) const {
  if (approval.memory_version_.empty()) return {};
  MLXGUARD_CHECK(memory_.has_value());
  MLXGUARD_TRY_ASSIGN(const ModelVersion version, ModelVersion::parse(approval.memory_version_));
  return memory_->update([&](SeenVersions& seen) -> Result<void> {
    for (const std::string& key : approval.memory_keys_) {
      SeenModel& known = seen.models[key];
      const bool other = !known.name.empty() && !approval.memory_name_.empty() &&
                         known.name != approval.memory_name_;
      const auto highest = ModelVersion::parse(known.version);
      if (highest && *highest >= version && !other) continue;
      known = {version.text(), approval.memory_name_.empty() ? known.name : approval.memory_name_};
    }
    return {};
  });
}

const Condition* Judgement::first_failed() const {
  // What is never let through comes first: it is the better reason.
  for (const auto weight : {Condition::Weight::kAlways, Condition::Weight::kRule}) {
    for (const Condition& condition : conditions) {
      if (condition.state == Condition::State::kFailed && condition.weight == weight) {
        return &condition;
      }
    }
  }
  return nullptr;
}

bool Judgement::refuses() const {
  const Condition* failed = first_failed();
  return failed != nullptr &&
         (mode == Mode::kEnforce || failed->weight == Condition::Weight::kAlways);
}

std::vector<Condition> Approval::warnings() const {
  std::vector<Condition> failed;
  for (const Condition& condition : judgement_.conditions) {
    if (condition.state == Condition::State::kFailed) failed.push_back(condition);
  }
  return failed;
}

Error error_of(const Condition& failed, const Judgement& judgement) {
  return make_error(failed.code, text_of(failed, judgement))
      .about(failed.subject)
      .compared(failed.expected, failed.actual)
      .hinting("mlxguard trust check MODEL says which rule matched and how each condition ended");
}

Error refusal_of(const Judgement& judgement) {
  const Condition* failed = judgement.first_failed();
  MLXGUARD_CHECK(failed != nullptr);
  return error_of(*failed, judgement);
}

}  // namespace mlxguard::trust
