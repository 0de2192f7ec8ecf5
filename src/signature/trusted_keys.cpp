// SPDX-License-Identifier: Apache-2.0
#include "signature/trusted_keys.h"

#include <algorithm>
#include <utility>

namespace mlxguard::signature {

Result<TrustedKeys> TrustedKeys::load(const crypto::KeyStore& store,
                                      std::span<const std::filesystem::path> files, WallTime now) {
  MLXGUARD_TRY_ASSIGN(trust::KeyRing ring, trust::KeyRing::load(store, files));
  return of(std::move(ring), now);
}

TrustedKeys TrustedKeys::of(trust::KeyRing ring, WallTime now) {
  TrustedKeys trusted;
  trusted.ring_ = std::move(ring);
  for (const trust::RingKey& known : trusted.ring_.keys()) {
    if (auto good = known.status.check_verify(now); good) {
      trusted.add(known.name, known.key);
    } else {
      trusted.refuse(known.name, known.key, std::move(good).error());
    }
  }
  return trusted;
}

void TrustedKeys::refuse(std::string name, crypto::EcPublicKey key, Error why) {
  refused_.push_back({{std::move(name), std::move(key)}, std::move(why)});
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
