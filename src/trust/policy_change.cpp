// SPDX-License-Identifier: Apache-2.0
#include "trust/policy_change.h"

#include <sys/stat.h>

#include <cerrno>
#include <span>
#include <utility>

#include "base/limits.h"
#include "base/os_error.h"
#include "trust/policy_signature.h"
#include "trust/state_file.h"

namespace mlxguard::trust {
namespace {

namespace fs = std::filesystem;

Result<void> make_folder(const fs::path& folder) {
  std::error_code ignored;  // the mkdir below reports what matters
  fs::create_directories(folder.parent_path(), ignored);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return os_error("create", folder.string());
  }
  return {};
}

Result<std::optional<std::string>> read_if_there(const fs::path& file, std::size_t bytes_max) {
  auto text = read_trusted_file(file, bytes_max);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<std::string>{};
  if (!text) return std::move(text).error();
  return std::optional<std::string>(*std::move(text));
}

/// Signed by whoever is not the root key, it would be refused by the next reader.
Result<std::vector<PolicySignature>> sign(const PolicyPlaces& places, const PolicyChange& change,
                                          const std::string& text, WallTime now) {
  MLXGUARD_TRY_ASSIGN(const auto key, change.open_root_key());
  MLXGUARD_TRY_ASSIGN(PolicySignature signature, sign_policy(text, *key));
  if (!places.root_key.empty()) {
    MLXGUARD_TRY_ASSIGN(const KeyRing ring,
                        KeyRing::load(crypto::KeyStore(places.state / "keys"), places.public_keys));
    MLXGUARD_TRY(check_root(std::span(&key->public_key(), 1), places.root_key, ring, now));
  }
  return std::vector<PolicySignature>{std::move(signature)};
}

/// Readers in between find a signature that is good for the text they read, old or new. Of the old
/// ones only what is over the old text: another is of a change that was killed before it happened.
Result<void> write_both(const fs::path& file, const std::string& old_text, const std::string& text,
                        const std::vector<PolicySignature>& signatures) {
  const fs::path beside = signature_file_of(file);
  std::vector<PolicySignature> both = signatures;
  MLXGUARD_TRY_ASSIGN(const auto old, read_if_there(beside, limits::kKeyRecordBytesMax));
  if (const auto parsed = parse_policy_signatures(old.value_or(""))) {
    for (const PolicySignature& one : *parsed) {
      const bool good = policy_signers(old_text, {one}).has_value();
      if (good && both.size() < kPolicySignaturesMax) both.push_back(one);
    }
  }
  MLXGUARD_TRY(replace_trusted_file(beside, write_policy_signatures(both)));
  MLXGUARD_TRY(replace_trusted_file(file, text));
  return replace_trusted_file(beside, write_policy_signatures(signatures));
}

}  // namespace

Result<ChangedPolicy> change_policy(
    const PolicyPlaces& places, const PolicyChange& change, WallTime now,
    const std::function<Result<void>(const ChangedPolicy&)>& on_record) {
  const fs::path file = places.file();
  if (!places.root_key.empty() && !change.open_root_key) {
    return make_error(ErrorCode::kTrustPolicySignature,
                      "the policy is signed by a root key: a change needs that key")
        .about(file.string())
        .hinting("add --root-key NAME, and the passphrase as for mlxguard sign");
  }
  std::error_code problem;
  const fs::path folder = fs::absolute(file, problem).parent_path();
  MLXGUARD_TRY(make_folder(folder));
  MLXGUARD_TRY_ASSIGN(const UniqueFd lock, folder_lock(folder));
  MLXGUARD_TRY_ASSIGN(const auto text, read_if_there(file, limits::kPolicyBytesMax));
  MLXGUARD_TRY_ASSIGN(const auto old_signature,
                      read_if_there(signature_file_of(file), limits::kKeyRecordBytesMax));
  ChangedPolicy changed;
  changed.created = !text;
  // A change of a policy that nobody would accept would make it acceptable.
  const bool adds_to_it = change.edit.add || change.edit.remove;
  if (text && adds_to_it) {
    auto current = Policy::load(places, now);
    // What else is wrong with an unsigned one may be what the change puts right.
    const bool matters =
        !current &&
        (current.error().code == ErrorCode::kTrustPolicyRollback ||
         (!places.root_key.empty() && current.error().code != ErrorCode::kTrustPolicyExpired));
    if (matters) return std::move(current).error();
  }
  if (!text) MLXGUARD_TRY(check_never_seen(places));
  if (text && old_signature && places.root_key.empty() && !change.open_root_key) {
    return make_error(ErrorCode::kTrustPolicySignature,
                      "the policy is signed: a change needs its root key")
        .about(file.string())
        .hinting("add --root-key NAME, or remove trust.toml.sig if it is to be unsigned");
  }
  if (text) {
    // Also where it is signed anew as it is: who brought back an older one must not get it signed.
    MLXGUARD_TRY_ASSIGN(const PolicyFile current, parse_policy(*text, folder));
    MLXGUARD_TRY(check_not_older(places, current.version));
  }
  MLXGUARD_TRY_ASSIGN(const std::string edited,
                      edit_policy(text.value_or(""), folder, change.edit));
  MLXGUARD_TRY_ASSIGN(const PolicyFile parsed, parse_policy(edited, folder));
  changed.version = parsed.version;
  if (!change.open_root_key) {
    MLXGUARD_TRY(on_record(changed));
    MLXGUARD_TRY(replace_trusted_file(file, edited));
    return changed;
  }
  MLXGUARD_TRY(check_signable(parsed));
  MLXGUARD_TRY_ASSIGN(const auto signatures, sign(places, change, edited, now));
  MLXGUARD_TRY(on_record(changed));
  MLXGUARD_TRY(write_both(file, text.value_or(""), edited, signatures));
  return changed;
}

}  // namespace mlxguard::trust
