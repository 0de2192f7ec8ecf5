// SPDX-License-Identifier: Apache-2.0
#include "signature/trusted_keys.h"

#include <algorithm>
#include <utility>

namespace mlxguard::signature {

Result<TrustedKeys> TrustedKeys::load(const crypto::KeyStore& store,
                                      std::span<const std::filesystem::path> files) {
  TrustedKeys trusted;
  MLXGUARD_TRY_ASSIGN(auto stored, store.public_keys());
  for (auto& [name, key] : stored) trusted.add(std::move(name), std::move(key));
  for (const std::filesystem::path& file : files) {
    MLXGUARD_TRY_ASSIGN(auto key, crypto::read_public_key(file));
    trusted.add(file.stem().string(), std::move(key));
  }
  return trusted;
}

void TrustedKeys::add(std::string name, crypto::EcPublicKey key) {
  if (find(key.fingerprint()) != nullptr) return;
  keys_.push_back({std::move(name), std::move(key)});
}

const TrustedKey* TrustedKeys::find(std::string_view fingerprint) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const TrustedKey& trusted) {
    return trusted.key.fingerprint() == fingerprint;
  });
  return found == keys_.end() ? nullptr : &*found;
}

}  // namespace mlxguard::signature
