// SPDX-License-Identifier: Apache-2.0
#include "crypto/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <bit>
#include <string>

#include "base/check.h"
#include "mlxguard_blake3.h"

namespace mlxguard::crypto {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

/// Fetched once and kept: EVP_sha256() would be looked up among the providers for each message.
const EVP_MD* fetched(const char* name) {
  const EVP_MD* digest = EVP_MD_fetch(nullptr, name, nullptr);
  MLXGUARD_CHECK(digest != nullptr);
  return digest;
}

const EVP_MD* evp_of(HashAlgorithm algorithm) {
  static const EVP_MD* const sha256 = fetched("SHA2-256");
  switch (algorithm) {
    case HashAlgorithm::kSha256:
      return sha256;
    case HashAlgorithm::kSha384: {
      static const EVP_MD* const sha384 = fetched("SHA2-384");
      return sha384;
    }
    case HashAlgorithm::kSha512: {
      static const EVP_MD* const sha512 = fetched("SHA2-512");
      return sha512;
    }
    case HashAlgorithm::kBlake2b512: {
      static const EVP_MD* const blake2b = fetched("BLAKE2B-512");
      return blake2b;
    }
    case HashAlgorithm::kBlake3:
      break;  // not of this library
  }
  MLXGUARD_CHECK(false);
}

struct FreeMac {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
using MacContext = std::unique_ptr<EVP_MAC_CTX, FreeMac>;

/// Without a key; copied for each message, for the same reason. Read by every thread.
const EVP_MAC_CTX* hmac_without_key() {
  static const EVP_MAC_CTX* const made = [] {
    EVP_MAC* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    EVP_MAC_CTX* context = hmac == nullptr ? nullptr : EVP_MAC_CTX_new(hmac);
    std::string digest = "SHA2-256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_end()};
    MLXGUARD_CHECK(context != nullptr && EVP_MAC_CTX_set_params(context, parameters) == 1);
    return context;
  }();
  return made;
}

struct FreeBlake3 {
  void operator()(mlxguard_blake3* hasher) const { mlxguard_blake3_free(hasher); }
};

mlxguard_blake3* blake3_of(void* state) { return static_cast<mlxguard_blake3*>(state); }

/// The value of the subtree over these pieces. Its left half holds the largest power of two of
/// pieces that leaves something for the right one; so deep only as the number of bits of their
/// count.
Blake3Value subtree(std::span<const Blake3Value> pieces) {
  if (pieces.size() == 1) return pieces.front();
  const std::size_t half = std::bit_floor(pieces.size() - 1);
  Blake3Value left = subtree(pieces.first(half));
  const Blake3Value right = subtree(pieces.subspan(half));
  mlxguard_blake3_join(left.data(), right.data(), left.data());
  return left;
}

}  // namespace

struct Hasher::Impl {
  Context context;
  std::unique_ptr<mlxguard_blake3, FreeBlake3> blake3;
};

Hasher::Hasher(HashAlgorithm algorithm) : impl_(std::make_unique<Impl>()) {
  if (algorithm == HashAlgorithm::kBlake3) {
    impl_->blake3.reset(mlxguard_blake3_new(0));
    return;
  }
  impl_->context.reset(EVP_MD_CTX_new());
  // A digest that cannot start means a broken crypto library: no security decision may go on.
  MLXGUARD_CHECK(impl_->context != nullptr);
  MLXGUARD_CHECK(EVP_DigestInit_ex(impl_->context.get(), evp_of(algorithm), nullptr) == 1);
}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::update(Bytes bytes) {
  if (impl_->blake3) {
    mlxguard_blake3_update(impl_->blake3.get(), bytes.data(), bytes.size());
    return;
  }
  MLXGUARD_CHECK(EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::vector<std::uint8_t> Hasher::finish() {
  if (impl_->blake3) {
    std::vector<std::uint8_t> whole(MLXGUARD_BLAKE3_DIGEST_BYTES);
    mlxguard_blake3_digest(impl_->blake3.get(), whole.data());
    return whole;
  }
  std::vector<std::uint8_t> digest(EVP_MAX_MD_SIZE);
  unsigned int size = 0;
  MLXGUARD_CHECK(EVP_DigestFinal_ex(impl_->context.get(), digest.data(), &size) == 1);
  digest.resize(size);
  return digest;
}

Blake3Piece::Blake3Piece(std::uint64_t offset) : state_(mlxguard_blake3_new(offset)) {
  MLXGUARD_CHECK(offset % kBlake3PieceBytes == 0);
}
void Blake3Piece::Free::operator()(void* state) const { mlxguard_blake3_free(blake3_of(state)); }
void Blake3Piece::update(Bytes bytes) {
  mlxguard_blake3_update(blake3_of(state_.get()), bytes.data(), bytes.size());
}
Blake3Value Blake3Piece::finish() {
  Blake3Value value{};
  mlxguard_blake3_inner(blake3_of(state_.get()), value.data());
  return value;
}

std::vector<std::uint8_t> blake3_join(std::span<const Blake3Value> pieces) {
  MLXGUARD_CHECK(pieces.size() >= 2);
  const std::size_t half = std::bit_floor(pieces.size() - 1);
  const Blake3Value left = subtree(pieces.first(half));
  const Blake3Value right = subtree(pieces.subspan(half));
  std::vector<std::uint8_t> digest(MLXGUARD_BLAKE3_DIGEST_BYTES);
  mlxguard_blake3_join_root(left.data(), right.data(), digest.data());
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
  std::size_t size = 0;
  const MacContext context(EVP_MAC_CTX_dup(hmac_without_key()));
  MLXGUARD_CHECK(context != nullptr &&
                 EVP_MAC_init(context.get(), key.data(), key.size(), nullptr) == 1 &&
                 EVP_MAC_update(context.get(), message.data(), message.size()) == 1 &&
                 EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1);
  MLXGUARD_CHECK(size == out.size());
  return out;
}

bool equal_constant_time(Bytes a, Bytes b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace mlxguard::crypto
