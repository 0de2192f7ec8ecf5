// SPDX-License-Identifier: Apache-2.0
// KeyStore: the operator's signing keys in one folder, NAME.key (encrypted PKCS#8, 0600) beside
// NAME.pub (PEM, 0644). Trusted: the folder's owner. Refused: files that others may read or write,
// links.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "crypto/ec_key.h"
#include "crypto/key_folder.h"
#include "crypto/secret.h"

namespace mlxguard::crypto {

/// [A-Za-z0-9][A-Za-z0-9._-]{0,63}; else kKeyName.
[[nodiscard]] Result<void> check_key_name(std::string_view name);

class KeyStore {
 public:
  /// Does not touch the disk; the folder is made (0700) by the first create().
  explicit KeyStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  /// Called with the new key before anything is on disk: may add files that come to be with the
  /// key, or refuse. The folder is locked meanwhile.
  using WithKey = std::function<Result<void>(const Signer& key, std::vector<KeyFile>& files)>;

  /// Makes a key and writes its files, all or none, durable, never over existing ones (kKeyExists).
  [[nodiscard]] Result<EcPublicKey> create(std::string_view name, Curve curve,
                                           const Secret& passphrase,
                                           const WithKey& with = {}) const;
  /// The same for a key that exists already.
  [[nodiscard]] Result<EcPublicKey> add(std::string_view name, const EcPrivateKey& key,
                                        const Secret& passphrase, const WithKey& with = {}) const;
  /// The same for a key whose private half is elsewhere, on a token.
  [[nodiscard]] Result<EcPublicKey> add_elsewhere(std::string_view name, const Signer& key,
                                                  const WithKey& with) const;
  /// kKeyNotFound, kKeyPermissions, kKeyPassphrase, kKeyFormat.
  [[nodiscard]] Result<EcPrivateKey> open(std::string_view name, const Secret& passphrase) const;
  [[nodiscard]] Result<EcPublicKey> public_key(std::string_view name) const;
  /// Every public key here, sorted by name. A missing folder holds no keys. A public key file that
  /// others may write is kKeyPermissions: it would decide what is trusted.
  [[nodiscard]] Result<std::vector<std::pair<std::string, EcPublicKey>>> public_keys() const;
  /// True if the private half is a file here.
  [[nodiscard]] bool has_private_key(std::string_view name) const;

  /// A file beside the keys, if it is there. Others may read it; kKeyPermissions if they may write
  /// it.
  [[nodiscard]] Result<std::optional<std::string>> read_note(std::string_view file,
                                                             std::size_t bytes_max) const;
  /// Locks the folder, asks what to write, writes all of it or nothing. Those who update at once
  /// wait for each other: what `make_files` reads is still so when its files are written.
  [[nodiscard]] Result<void> update(
      const std::function<Result<std::vector<KeyFile>>()>& make_files) const;

 private:
  [[nodiscard]] Result<EcPublicKey> add_locked(const KeyFolder& folder, std::string_view name,
                                               const EcPrivateKey& key, const Secret& passphrase,
                                               const WithKey& with) const;
  std::filesystem::path folder_;
};

/// Reads a PEM public key from any file (bounded; others may read it, not write it).
[[nodiscard]] Result<EcPublicKey> read_public_key(const std::filesystem::path& file);

}  // namespace mlxguard::crypto
