// SPDX-License-Identifier: Apache-2.0
// Signer: what makes signatures with an EC private key, wherever that key is: in this process's
// memory (EcPrivateKey) or on a token (Pkcs11Key). Who signs needs to know no more.
#pragma once

#include <cstdint>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::crypto {

class EcPublicKey;

class Signer {
 public:
  virtual ~Signer() = default;
  [[nodiscard]] virtual const EcPublicKey& public_key() const = 0;
  /// DER ECDSA signature over `message`, hashed as the key's curve says. One thread at a time.
  [[nodiscard]] virtual Result<std::vector<std::uint8_t>> sign(Bytes message) const = 0;

 protected:
  Signer() = default;
  Signer(Signer&&) = default;
  Signer& operator=(Signer&&) = default;
};

}  // namespace mlxguard::crypto
