// SPDX-License-Identifier: Apache-2.0
// One PKCS#11 module and one key on one of its tokens, by direct calls. Loading a module runs
// foreign code in this process: only mlxguard-token does it. What the module returns is bounded
// before it is used.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "crypto/ec_key.h"
#include "crypto/pkcs11_uri.h"
#include "crypto/pkcs11_wire.h"
#include "crypto/secret.h"

namespace mlxguard::crypto {

class Pkcs11Module {
 public:
  /// Loads the module, initialises it, finds the one token. kTokenModule, kToken, kTokenUri,
  /// kTokenPin (the token says that its PIN is locked, or would be after one more wrong try).
  [[nodiscard]] static Result<Pkcs11Module> open(const Pkcs11Uri& uri);
  [[nodiscard]] TokenLogin login_kind() const;

  struct Found {
    std::vector<std::uint8_t> parameters;
    std::vector<std::uint8_t> point;
  };
  /// Logs in, once, makes the key if `generate` is given, and finds it. kTokenPin,
  /// kTokenKeyNotFound, kTokenUri, kToken, kKeyExists.
  [[nodiscard]] Result<Found> login(Secret pin, std::optional<Curve> generate);
  /// r and s. After login().
  [[nodiscard]] Result<std::vector<std::uint8_t>> sign(Bytes digest);

  Pkcs11Module(Pkcs11Module&&) noexcept;
  Pkcs11Module& operator=(Pkcs11Module&&) noexcept;
  ~Pkcs11Module();

 private:
  struct Impl;
  explicit Pkcs11Module(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// mlxguard-token's whole work: answers frames until the other side closes its end.
void serve_token(int requests, int answers);

}  // namespace mlxguard::crypto
