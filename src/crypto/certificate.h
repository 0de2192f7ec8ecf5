// SPDX-License-Identifier: Apache-2.0
// X.509 certificates that sign models: read, and held against the authorities that the operator
// trusts. Input: certificates chosen by an attacker. Trusted: the authorities, and the clock.
// Stricter than the peers: every certificate of the chain has to be valid now, and a revocation
// list that was asked for and is missing or out of date is a refusal.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/ec_key.h"

namespace mlxguard::crypto {

/// Copyable, immutable, thread-safe.
class Certificate {
 public:
  /// One certificate, all of the bytes. kCertificateInvalid.
  [[nodiscard]] static Result<Certificate> from_der(Bytes der);
  /// Every certificate in a text that may hold other things between them; at least one.
  /// kCertificateInvalid.
  [[nodiscard]] static Result<std::vector<Certificate>> from_pem(std::string_view pem);

  [[nodiscard]] const std::vector<std::uint8_t>& der() const;
  /// Lowercase hex SHA-256 of der().
  [[nodiscard]] const std::string& fingerprint() const;
  [[nodiscard]] std::string subject() const;  ///< RFC 2253
  [[nodiscard]] std::string serial() const;   ///< lowercase hex without leading zeros
  /// Subject alternative names: "email:..", "uri:..", "dns:..".
  [[nodiscard]] std::vector<std::string> identities() const;
  /// For who is about to sign: valid now, and for signing. kCertificateExpired,
  /// kCertificateNotYetValid, kCertificateUsage.
  [[nodiscard]] Result<void> check_may_sign(WallTime now) const;
  /// kKeyFormat if it is on no curve that signs models.
  [[nodiscard]] Result<EcPublicKey> public_key() const;

 private:
  friend Result<std::vector<Certificate>> verify_chain(const Certificate&,
                                                       std::span<const Certificate>,
                                                       const struct ChainTrust&);
  struct Impl;
  explicit Certificate(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

struct ChainTrust {
  std::vector<Certificate> authorities{};
  /// PEM or DER. If there is any, every certificate of a chain needs a list that is in date.
  std::vector<std::string> crls{};
  WallTime now{};
};

/// The chain from the leaf to one of the authorities (self-signed), each certificate valid now, and
/// the leaf's key usage that of a signer. Errors: kCertificateExpired, kCertificateNotYetValid,
/// kCertificateUsage, kCertificateUntrusted, kCertificateRevoked, kCertificateCrl,
/// kCertificateWeak, kCertificateInvalid.
[[nodiscard]] Result<std::vector<Certificate>> verify_chain(const Certificate& leaf,
                                                            std::span<const Certificate> untrusted,
                                                            const ChainTrust& trust);

/// As EcPublicKey::verify, but hashed with SHA-256 whatever the curve: only for signatures of the
/// tool's first release, which did so.
[[nodiscard]] bool verify_hashed_with_sha256(const EcPublicKey& key, Bytes message,
                                             Bytes signature);

}  // namespace mlxguard::crypto
