// SPDX-License-Identifier: Apache-2.0
#include "crypto/ed25519.h"

#include <openssl/evp.h>

#include <memory>

#include "base/check.h"

namespace mlxguard::crypto {
namespace {

constexpr std::size_t kSeedBytes = 32;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

Key private_key(const Secret& seed) {
  Key key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.bytes().data(), seed.size()));
  MLXGUARD_CHECK(key != nullptr);
  return key;
}

}  // namespace

Ed25519Key Ed25519Key::generate(Random& random) {
  Secret seed(kSeedBytes);
  random.fill(seed.writable());
  return Ed25519Key(std::move(seed));
}

Result<Ed25519Key> Ed25519Key::from_seed(Bytes seed) {
  if (seed.size() != kSeedBytes) {
    return make_error(ErrorCode::kKeyFormat,
                      "expected an Ed25519 seed of 32 bytes, found " + std::to_string(seed.size()));
  }
  return Ed25519Key(Secret::copy_of(seed));
}

Ed25519PublicKey Ed25519Key::public_key() const {
  const Key key = private_key(seed_);
  Ed25519PublicKey out{};
  std::size_t size = out.size();
  MLXGUARD_CHECK(EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) == 1);
  return out;
}

Ed25519Signature Ed25519Key::sign(Bytes message) const {
  const Key key = private_key(seed_);
  const Context context(EVP_MD_CTX_new());
  Ed25519Signature out{};
  std::size_t size = out.size();
  MLXGUARD_CHECK(context != nullptr);
  MLXGUARD_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  MLXGUARD_CHECK(EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()) ==
                 1);
  MLXGUARD_CHECK(size == out.size());
  return out;
}

bool ed25519_verify(const Ed25519PublicKey& key, Bytes message, Bytes signature) {
  const Key public_key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  const Context context(EVP_MD_CTX_new());
  if (public_key == nullptr || context == nullptr) return false;
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, public_key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

}  // namespace mlxguard::crypto
