// SPDX-License-Identifier: Apache-2.0
#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"

namespace mlxguard::crypto {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

const EVP_MD* evp_of(HashAlgorithm algorithm) {
  switch (algorithm) {
    case HashAlgorithm::kSha256:
      return EVP_sha256();
    case HashAlgorithm::kSha384:
      return EVP_sha384();
    case HashAlgorithm::kSha512:
      return EVP_sha512();
    case HashAlgorithm::kBlake2b512:
      return EVP_blake2b512();
  }
  MLXGUARD_CHECK(false);
}

}  // namespace

struct Hasher::Impl {
  Context context{EVP_MD_CTX_new()};
};

Hasher::Hasher(HashAlgorithm algorithm) : impl_(std::make_unique<Impl>()) {
  // A digest that cannot start means a broken crypto library: no security decision may go on.
  MLXGUARD_CHECK(impl_->context != nullptr);
  MLXGUARD_CHECK(EVP_DigestInit_ex(impl_->context.get(), evp_of(algorithm), nullptr) == 1);
}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::update(Bytes bytes) {
  MLXGUARD_CHECK(EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::vector<std::uint8_t> Hasher::finish() {
  std::vector<std::uint8_t> digest(EVP_MAX_MD_SIZE);
  unsigned int size = 0;
  MLXGUARD_CHECK(EVP_DigestFinal_ex(impl_->context.get(), digest.data(), &size) == 1);
  digest.resize(size);
  return digest;
}

Sha256Digest sha256(Bytes bytes) { return sha256({bytes}); }

Sha256Digest sha256(std::initializer_list<Bytes> parts) {
  Hasher hasher(HashAlgorithm::kSha256);
  for (const Bytes part : parts) hasher.update(part);
  const auto digest = hasher.finish();
  Sha256Digest out{};
  std::copy(digest.begin(), digest.end(), out.begin());
  return out;
}

Sha256Digest hmac_sha256(Bytes key, Bytes message) {
  Sha256Digest out{};
  unsigned int size = 0;
  MLXGUARD_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(),
                      message.size(), out.data(), &size) != nullptr);
  MLXGUARD_CHECK(size == out.size());
  return out;
}

bool equal_constant_time(Bytes a, Bytes b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace mlxguard::crypto
