// SPDX-License-Identifier: Apache-2.0
// KeyStore: the operator's signing keys in one folder, NAME.key (encrypted PKCS#8, 0600) beside NAME.pub
// (PEM, 0644). Trusted: the folder's owner. Refused: files that others may read or write, links.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "crypto/ec_key.h"
#include "crypto/secret.h"

namespace mlxguard::crypto {

/// [A-Za-z0-9][A-Za-z0-9._-]{0,63}; else kKeyName.
[[nodiscard]] Result<void> check_key_name(std::string_view name);

class KeyStore {
 public:
  /// Does not touch the disk; the folder is made (0700) by the first create().
  explicit KeyStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Makes a key and writes both files, durable, never over existing ones (kKeyExists).
  [[nodiscard]] Result<EcPublicKey> create(std::string_view name, Curve curve,
                                           const Secret& passphrase) const;
  /// kKeyNotFound, kKeyPermissions, kKeyPassphrase, kKeyFormat.
  [[nodiscard]] Result<EcPrivateKey> open(std::string_view name, const Secret& passphrase) const;
  [[nodiscard]] Result<EcPublicKey> public_key(std::string_view name) const;
  /// Every public key here, sorted by name. A missing folder holds no keys. A public key file that
  /// others may write is kKeyPermissions: it would decide what is trusted.
  [[nodiscard]] Result<std::vector<std::pair<std::string, EcPublicKey>>> public_keys() const;

 private:
  std::filesystem::path folder_;
};

/// Reads a PEM public key from any file (bounded; others may read it, not write it).
[[nodiscard]] Result<EcPublicKey> read_public_key(const std::filesystem::path& file);

}  // namespace mlxguard::crypto
