// SPDX-License-Identifier: Apache-2.0
// EC keys for model signatures: P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512, ECDSA
// in DER (OpenSSF Model Signing v1.0). Private keys exist in memory only as long as they are used.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "crypto/signer.h"

namespace mlxguard::crypto {

enum class Curve : std::uint8_t { kP256, kP384, kP521 };
[[nodiscard]] std::string_view name_of(Curve curve);

/// Copyable, immutable, thread-safe.
class EcPublicKey {
 public:
  /// One PEM SubjectPublicKeyInfo of a supported curve; else kPem or kKeyFormat.
  [[nodiscard]] static Result<EcPublicKey> from_pem(std::string_view pem);
  /// From a token's attributes: the curve as DER object identifier, the point uncompressed, in an
  /// OCTET STRING or plain. kKeyFormat.
  [[nodiscard]] static Result<EcPublicKey> from_token(Bytes parameters, Bytes point);
  [[nodiscard]] Curve curve() const;
  /// As `openssl pkey -pubout` writes it: 64 columns, LF, trailing newline; the point in full,
  /// however it was read. One text for one key.
  [[nodiscard]] const std::string& pem() const;
  /// Lowercase hex SHA-256 of pem(): the `hint` of a bundle.
  [[nodiscard]] const std::string& fingerprint() const;
  /// True if `signature` (DER) is over `message`, hashed as the curve says.
  [[nodiscard]] bool verify(Bytes message, Bytes signature) const;

 private:
  friend class EcPrivateKey;
  struct Impl;
  explicit EcPublicKey(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

/// The curve's DER object identifier.
[[nodiscard]] Bytes parameters_of(Curve curve);
/// `message` hashed as the curve says.
[[nodiscard]] std::vector<std::uint8_t> digest_for(Curve curve, Bytes message);
/// r and s, each of the curve's full length, as DER; kToken if they are no two such numbers.
[[nodiscard]] Result<std::vector<std::uint8_t>> der_of_raw_signature(Curve curve, Bytes raw);

/// Move-only; its numbers are wiped when it dies.
class EcPrivateKey final : public Signer {
 public:
  [[nodiscard]] static Result<EcPrivateKey> generate(Curve curve);
  /// Encrypted PKCS#8 in PEM: PBES2 with scrypt (N=2^14, r=8, p=8) and AES-256-CBC.
  [[nodiscard]] Result<Secret> to_encrypted_pem(const Secret& passphrase) const;
  /// Only encrypted PKCS#8; kPem, kKeyFormat, kKeyPassphrase.
  [[nodiscard]] static Result<EcPrivateKey> from_encrypted_pem(std::string_view pem,
                                                               const Secret& passphrase);
  /// A private key that lies about unencrypted, in PEM (PKCS#8, or SEC 1 with or without its
  /// parameters before it): whoever read the file has the key. For tools whose users have such
  /// files.
  [[nodiscard]] static Result<EcPrivateKey> from_plain_pem_unsafe(std::string_view pem);
  [[nodiscard]] const EcPublicKey& public_key() const override;
  [[nodiscard]] Result<std::vector<std::uint8_t>> sign(Bytes message) const override;

  EcPrivateKey(EcPrivateKey&&) noexcept;
  EcPrivateKey& operator=(EcPrivateKey&&) noexcept;
  ~EcPrivateKey() override;

 private:
  struct Impl;
  explicit EcPrivateKey(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlxguard::crypto
