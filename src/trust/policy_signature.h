// SPDX-License-Identifier: Apache-2.0
// The detached signature of a policy, trust.toml.sig beside trust.toml: the root key over the
// file's exact bytes. Two signatures may stand in it while the policy changes, so that a kill
// between the two files leaves a policy that is signed, old or new. Which of them is old enough to
// refuse says its version (trust/policy_memory.h).
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/ec_key.h"
#include "crypto/signer.h"
#include "trust/key_ring.h"

namespace mlxguard::trust {

inline constexpr std::size_t kPolicySignaturesMax = 4;

struct PolicySignature {
  std::string public_key;  ///< PEM of the key that made it; believed only by its fingerprint
  std::vector<std::uint8_t> signature;
};

[[nodiscard]] std::filesystem::path signature_file_of(const std::filesystem::path& policy_file);

[[nodiscard]] Result<PolicySignature> sign_policy(std::string_view policy_text,
                                                  const crypto::Signer& root_key);
[[nodiscard]] std::string write_policy_signatures(const std::vector<PolicySignature>& signatures);
/// kTrustPolicySignature for anything but a signature file; kTooLarge.
[[nodiscard]] Result<std::vector<PolicySignature>> parse_policy_signatures(std::string_view text);
/// The key that signed `policy_text`, if one of `signatures` is good; else kTrustPolicySignature.
/// That it is the root key is for the caller to see.
[[nodiscard]] Result<std::vector<crypto::EcPublicKey>> policy_signers(
    std::string_view policy_text, const std::vector<PolicySignature>& signatures);

/// Which of `signers` is the root key or its successor by rotations, as long as none on the way is
/// revoked. kTrustPolicySignature; kKeyRevoked, kKeyExpired.
[[nodiscard]] Result<std::string> check_root(std::span<const crypto::EcPublicKey> signers,
                                             const std::string& root_key, const KeyRing& ring,
                                             WallTime now);

}  // namespace mlxguard::trust
