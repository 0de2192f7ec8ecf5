// SPDX-License-Identifier: Apache-2.0
// Signer: who vouches for a model, as verification found it. Policy decides what they may sign.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mlxguard::trust {

struct Signer {
  enum class Kind : std::uint8_t { kKey, kCertificate };
  Kind kind = Kind::kKey;
  /// Lowercase hex SHA-256 of the public key in PEM (the `hint` of a bundle), for both kinds.
  std::string fingerprint;
  std::string name;  ///< what the operator calls the key or authority

  // Certificates only.
  std::string authority;  ///< lowercase hex SHA-256 of the root certificate in DER
  std::string subject;    ///< RFC 2253
  std::vector<std::string>
      identities;                    ///< subject alternative names: "email:..", "uri:..", "dns:.."
  std::vector<std::string> serials;  ///< lowercase hex, leaf first
};

/// For people: `key release (3f9c41d2)`, `certificate of ci@example.org by Example Root
/// (77aa0b1e)`.
[[nodiscard]] std::string describe(const Signer& signer);

}  // namespace mlxguard::trust
