// SPDX-License-Identifier: Apache-2.0
// Any bytes as a public key, an encrypted private key and a plain one. What is accepted signs and
// verifies, and its text reads back as the same key.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "crypto/ec_key.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto key = crypto::EcPublicKey::from_pem(text)) {
    const auto again = crypto::EcPublicKey::from_pem(key->pem());
    MLXGUARD_CHECK(again.has_value() && again->fingerprint() == key->fingerprint());
    MLXGUARD_CHECK(!key->verify(as_bytes("message"), as_bytes("no signature")));
  }
  if (const auto key = crypto::EcPrivateKey::from_plain_pem_unsafe(text)) {
    // Its two halves need not fit together; signing with it must not crash.
    static_cast<void>(key->sign(as_bytes("message")));
  }
  static_cast<void>(crypto::EcPrivateKey::from_encrypted_pem(
      text, crypto::Secret::copy_of(as_bytes("a passphrase"))));
  return 0;
}
