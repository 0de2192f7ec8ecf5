// SPDX-License-Identifier: Apache-2.0
#include "admission/trust.h"

#include <map>

#include "base/limits.h"
#include "codec/text.h"
#include "crypto/certificate.h"
#include "crypto/key_store.h"
#include "trust/state_file.h"

namespace mlxguard::admission {
namespace {

Error on_record(Error error, record::Sink& sink) {
  const auto logged = sink.append(record::event_of(record::Kind::kPolicyRefused, error, {}));
  if (!logged) return Error(logged.error()).with("recording a refusal", name_of(error.code));
  return error;
}

/// A list in DER as PEM; one in PEM stays as it is.
std::string crl_in_pem(std::string text) {
  if (text.find("-----BEGIN X509 CRL-----") != std::string::npos) return text;
  std::string pem = "-----BEGIN X509 CRL-----\n";
  const std::string base64 = codec::to_base64(as_bytes(text));
  constexpr std::size_t kLineBytes = 64;
  for (std::size_t at = 0; at < base64.size(); at += kLineBytes) {
    pem += base64.substr(at, kLineBytes) + "\n";
  }
  return pem + "-----END X509 CRL-----\n";
}

/// Each authority with the revocation lists of every source that names it: a list that one source
/// knows of cannot be passed over by way of another.
Result<void> add_authorities(const trust::PolicyFile& policy, WallTime now,
                             signature::TrustedKeys& keys) {
  std::map<std::string, crypto::ChainTrust> by_digest;
  for (const trust::SourceRule& source : policy.sources) {
    if (!source.legacy.empty()) keys.read_legacy();
    for (const trust::SignerRule& signer : source.signers) {
      if (!signer.is_certificate()) continue;
      crypto::ChainTrust& authority = by_digest[signer.authority_digest];
      authority.now = now;
      if (authority.authorities.empty()) {
        MLXGUARD_TRY_ASSIGN(const std::string pem,
                            trust::read_trusted_file(signer.authority, limits::kPolicyBytesMax));
        MLXGUARD_TRY_ASSIGN(authority.authorities, crypto::Certificate::from_pem(pem));
        // The digest was taken when the policy was read; the file may be another one by now.
        if (authority.authorities.size() != 1 ||
            authority.authorities.front().fingerprint() != signer.authority_digest) {
          return make_error(ErrorCode::kTrustPolicy,
                            "the authority's file changed while it was read")
              .about(signer.authority.string());
        }
      }
      for (const std::filesystem::path& file : source.crls) {
        MLXGUARD_TRY_ASSIGN(std::string list,
                            trust::read_trusted_file(file, limits::kRevocationListBytesMax));
        authority.crls.push_back(crl_in_pem(std::move(list)));
      }
    }
  }
  for (auto& [digest, authority] : by_digest) keys.add_authority(std::move(authority));
  return {};
}

}  // namespace

Result<Trust> Trust::load(const trust::PolicyPlaces& places, record::Sink& sink,
                          const Clock& clock) {
  const WallTime now = clock.now();
  auto policy = trust::Policy::load(places, now);
  if (!policy) return on_record(std::move(policy).error(), sink);
  // The very keys that the policy was resolved with: the folder may hold others by now.
  auto keys = signature::TrustedKeys::of(policy->ring(), now);
  if (auto added = add_authorities(policy->file(), now, keys); !added) {
    return on_record(std::move(added).error(), sink);
  }
  return Trust(*std::move(policy), std::move(keys));
}

Trust Trust::of_keys(signature::TrustedKeys keys) {
  return {trust::Policy::implicit(), std::move(keys)};
}

std::string Trust::version() const {
  if (policy_.is_implicit()) return "none";
  return "version " + std::to_string(policy_.file().version);
}

}  // namespace mlxguard::admission
