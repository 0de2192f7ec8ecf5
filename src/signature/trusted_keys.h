// SPDX-License-Identifier: Apache-2.0
// TrustedKeys: the public keys whose signatures admit a model. They come only from the operator:
// the key folder, and files named in the configuration or on the command line. A bundle never adds
// one.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/ec_key.h"
#include "crypto/key_store.h"

namespace mlxguard::signature {

struct TrustedKey {
  std::string name;  ///< for people: the key's name, or the stem of its file
  crypto::EcPublicKey key;
};

class TrustedKeys {
 public:
  /// Every key of the folder and of the files. None at all is no error here: verification refuses
  /// (kNoTrustedKeys), and its event says so. Errors: those of KeyStore::public_keys,
  /// read_public_key.
  [[nodiscard]] static Result<TrustedKeys> load(const crypto::KeyStore& store,
                                                std::span<const std::filesystem::path> files);

  /// A key that is known already keeps its first name.
  void add(std::string name, crypto::EcPublicKey key);
  /// The key with this fingerprint, or nullptr.
  [[nodiscard]] const TrustedKey* find(std::string_view fingerprint) const;
  [[nodiscard]] std::span<const TrustedKey> keys() const { return keys_; }

 private:
  std::vector<TrustedKey> keys_;
};

}  // namespace mlxguard::signature
