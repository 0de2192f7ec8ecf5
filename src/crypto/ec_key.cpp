// SPDX-License-Identifier: Apache-2.0
#include "crypto/ec_key.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/limits.h"
#include "crypto/digest.h"

namespace mlxguard::crypto {
namespace {

using std::string_view_literals::operator""sv;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Encrypted = std::unique_ptr<X509_SIG, Freed<X509_SIG_free>>;
using Algorithm = std::unique_ptr<X509_ALGOR, Freed<X509_ALGOR_free>>;
using Plain = std::unique_ptr<PKCS8_PRIV_KEY_INFO, Freed<PKCS8_PRIV_KEY_INFO_free>>;

// docs/adr/0002-key-encryption.md: the cost of N=2^17, r=8, p=1 within the memory that stock
// OpenSSL allows.
constexpr std::uint64_t kScryptN = 1 << 14;
constexpr std::uint64_t kScryptR = 8;
constexpr std::uint64_t kScryptP = 8;
constexpr int kSaltBytes = 16;

struct CurveRow {
  Curve curve;
  std::string_view name;
  std::string_view group;  ///< OpenSSL's name
  const EVP_MD* (*digest)();
  std::size_t number_bytes;  ///< of a coordinate, of r and of s
  std::string_view spki;     ///< SubjectPublicKeyInfo up to the first coordinate
};
constexpr CurveRow kCurves[] = {
    {Curve::kP256, "P-256", SN_X9_62_prime256v1, EVP_sha256, 32,
     "0Y0\x13\x06\a*\x86H\xce=\x02\x01\x06\b*\x86H\xce=\x03\x01\a\x03"
     "B\0\x04"sv},
    {Curve::kP384, "P-384", SN_secp384r1, EVP_sha384, 48,
     "0v0\x10\x06\a*\x86H\xce=\x02\x01\x06\x05+\x81\x04\0\"\x03"
     "b\0\x04"sv},
    {Curve::kP521, "P-521", SN_secp521r1, EVP_sha512, 66,
     "0\x81\x9b"
     "0\x10\x06\a*\x86H\xce=\x02\x01\x06\x05+\x81\x04\0#\x03\x81\x86\0\x04"sv},
};

const CurveRow& row_of(Curve curve) {
  for (const CurveRow& row : kCurves) {
    if (row.curve == curve) return row;
  }
  MLXGUARD_CHECK(false);
}

Error crypto_error(const char* doing) {
  ERR_clear_error();  // the library's texts may quote input; the code is what we report
  return make_error(ErrorCode::kCrypto, std::string("the crypto library failed to ") + doing);
}

Result<Curve> curve_of(const EVP_PKEY* key) {
  std::array<char, 64> group{};
  std::size_t size = 0;
  // A curve given by its numbers is refused even where they are those of a known one.
  int explicit_parameters = 0;
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
      EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                             &explicit_parameters) == 1 &&
      explicit_parameters == 0 &&
      EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1) {
    for (const CurveRow& row : kCurves) {
      if (row.group == group.data()) return row.curve;
    }
  }
  return make_error(ErrorCode::kKeyFormat, "expected an EC key of P-256, P-384 or P-521");
}

/// SubjectPublicKeyInfo of a named curve with a point of two whole coordinates (RFC 5480): there is
/// one DER form of it, up to the point.
bool is_usual_form(Bytes der, const CurveRow& row) {
  return as_text(der).starts_with(row.spki) && der.size() == row.spki.size() + 2 * row.number_bytes;
}

/// One key, one text: a point may be written compressed or hybrid too, and each way would have a
/// fingerprint of its own, so that one signer counted twice and a revoked key lived on. `usual` is
/// the key's DER in its usual form, which saves the search for an encoder; or empty.
Result<std::string> public_pem(EVP_PKEY* key, Bytes usual = {}) {
  if (usual.empty() &&
      EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                     OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) != 1) {
    return crypto_error("write a point in full");
  }
  const Bio out(BIO_new(BIO_s_mem()));
  char* data = nullptr;
  const bool written =
      out != nullptr &&
      (usual.empty() ? PEM_write_bio_PUBKEY(out.get(), key) == 1
                     : PEM_write_bio(out.get(), PEM_STRING_PUBLIC, "", usual.data(),
                                     static_cast<long>(usual.size())) > 0);
  if (!written) return crypto_error("write a key");
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string hex_sha256(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const std::uint8_t byte : sha256(as_bytes(text))) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

constexpr std::string_view kPemBegin = "-----BEGIN ";
constexpr std::string_view kPemEnd = "-----";

/// True if the text is one PEM block with nothing but white space around it.
bool is_one_block(std::string_view pem) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = pem.find_first_not_of(kSpace);
  if (first == pem.npos) return false;
  pem = pem.substr(first, pem.find_last_not_of(kSpace) + 1 - first);
  return pem.starts_with(kPemBegin) && pem.ends_with(kPemEnd) && pem.rfind(kPemBegin) == 0;
}

/// Exactly one PEM block of this kind.
Result<std::vector<std::uint8_t>> der_of_pem(std::string_view pem, const char* kind) {
  if (pem.size() > limits::kKeyFileBytesMax) {
    return make_error(ErrorCode::kTooLarge, "larger than a key file may be");
  }
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  const bool read = in != nullptr && PEM_read_bio(in.get(), &name, &header, &data, &size) == 1;
  const bool wanted = read && std::strcmp(name, kind) == 0 && std::strlen(header) == 0;
  std::vector<std::uint8_t> der;
  if (wanted) der.assign(data, data + size);
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_clear_free(data, read ? static_cast<std::size_t>(size) : 0);
  ERR_clear_error();
  if (!wanted) {
    return make_error(ErrorCode::kPem, std::string("expected a PEM block \"") + kind + "\"");
  }
  if (!is_one_block(pem)) {
    return make_error(ErrorCode::kPem, "expected one PEM block and nothing beside it");
  }
  return der;
}

}  // namespace

std::string_view name_of(Curve curve) { return row_of(curve).name; }

// ---- public keys

struct EcPublicKey::Impl {
  Key key;
  Curve curve{};
  std::string pem;
  std::string fingerprint;
};

EcPublicKey::EcPublicKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Curve EcPublicKey::curve() const { return impl_->curve; }
const std::string& EcPublicKey::pem() const { return impl_->pem; }
const std::string& EcPublicKey::fingerprint() const { return impl_->fingerprint; }

Result<EcPublicKey> EcPublicKey::from_pem(std::string_view pem) {
  MLXGUARD_TRY_ASSIGN(const auto der, der_of_pem(pem, PEM_STRING_PUBLIC));
  const unsigned char* at = der.data();
  auto impl = std::make_shared<Impl>();
  impl->key.reset(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (impl->key == nullptr || at != der.data() + der.size()) {
    return make_error(ErrorCode::kKeyFormat, "expected a public key (SubjectPublicKeyInfo)");
  }
  MLXGUARD_TRY_ASSIGN(impl->curve, curve_of(impl->key.get()));
  const bool usual = is_usual_form(der, row_of(impl->curve));
  MLXGUARD_TRY_ASSIGN(impl->pem, public_pem(impl->key.get(), usual ? Bytes(der) : Bytes()));
  impl->fingerprint = hex_sha256(impl->pem);
  return EcPublicKey(std::move(impl));
}

Bytes parameters_of(Curve curve) {
  static constexpr std::uint8_t kP256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
  static constexpr std::uint8_t kP384[] = {6, 5, 0x2b, 0x81, 4, 0, 0x22};
  static constexpr std::uint8_t kP521[] = {6, 5, 0x2b, 0x81, 4, 0, 0x23};
  if (curve == Curve::kP256) return kP256;
  return curve == Curve::kP384 ? Bytes(kP384) : Bytes(kP521);
}

std::vector<std::uint8_t> digest_for(Curve curve, Bytes message) {
  Hasher hasher(curve == Curve::kP256   ? HashAlgorithm::kSha256
                : curve == Curve::kP384 ? HashAlgorithm::kSha384
                                        : HashAlgorithm::kSha512);
  hasher.update(message);
  return hasher.finish();
}

Result<std::vector<std::uint8_t>> der_of_raw_signature(Curve curve, Bytes raw) {
  const std::size_t half = row_of(curve).number_bytes;
  if (raw.size() != 2 * half) {
    return make_error(ErrorCode::kToken,
                      "the token's signature has another length than its curve's");
  }
  const std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>> pair(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(raw.data(), static_cast<int>(half), nullptr);
  BIGNUM* s = BN_bin2bn(raw.data() + half, static_cast<int>(half), nullptr);
  if (pair == nullptr || ECDSA_SIG_set0(pair.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return crypto_error("read a signature");
  }
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &der);
  if (size <= 0) return crypto_error("write a signature");
  std::vector<std::uint8_t> out(der, der + size);
  OPENSSL_free(der);
  return out;
}

Result<EcPublicKey> EcPublicKey::from_token(Bytes parameters, Bytes point) {
  for (const CurveRow& row : kCurves) {
    const Bytes known = parameters_of(row.curve);
    if (!std::equal(known.begin(), known.end(), parameters.begin(), parameters.end())) continue;
    const std::size_t plain_bytes = 1 + 2 * row.number_bytes;
    const std::size_t head_bytes = plain_bytes < 128 ? 2 : 3;  // of the OCTET STRING around it
    if (point.size() == plain_bytes + head_bytes && point[0] == 4 &&
        point[head_bytes - 1] == plain_bytes && (head_bytes == 2 || point[1] == 0x81)) {
      point = point.subspan(head_bytes);
    }
    if (point.size() != plain_bytes || point[0] != 4) break;
    OSSL_PARAM key_parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                         const_cast<char*>(row.group.data()), 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                          const_cast<std::uint8_t*>(point.data()), point.size()),
        OSSL_PARAM_construct_end()};
    const std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>> context(
        EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nullptr));
    EVP_PKEY* made = nullptr;
    const bool good =
        context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1 &&
        EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, key_parameters) == 1;
    const Key key(made);
    ERR_clear_error();
    if (!good) break;
    MLXGUARD_TRY_ASSIGN(const std::string pem, public_pem(key.get()));
    return from_pem(pem);
  }
  return make_error(ErrorCode::kKeyFormat, "expected a token's key on P-256, P-384 or P-521");
}

bool EcPublicKey::verify(Bytes message, Bytes signature) const {
  const Context context(EVP_MD_CTX_new());
  const bool good = context != nullptr &&
                    EVP_DigestVerifyInit(context.get(), nullptr, row_of(impl_->curve).digest(),
                                         nullptr, impl_->key.get()) == 1 &&
                    EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                                     message.data(), message.size()) == 1;
  ERR_clear_error();
  return good;
}

// ---- private keys

struct EcPrivateKey::Impl {
  Key key;
  EcPublicKey public_key;

  /// `read` is what a parser of the library made of the bytes; nullptr is kKeyFormat.
  static Result<EcPrivateKey> of(Key read) {
    ERR_clear_error();
    if (read == nullptr) return make_error(ErrorCode::kKeyFormat, "expected an EC private key");
    MLXGUARD_TRY(curve_of(read.get()));
    MLXGUARD_TRY_ASSIGN(const std::string pem, public_pem(read.get()));
    MLXGUARD_TRY_ASSIGN(EcPublicKey public_key, EcPublicKey::from_pem(pem));
    note_private_memory(library_memory_is_locked());
    return EcPrivateKey(std::make_unique<Impl>(Impl{std::move(read), std::move(public_key)}));
  }
};

EcPrivateKey::EcPrivateKey(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EcPrivateKey::EcPrivateKey(EcPrivateKey&&) noexcept = default;
EcPrivateKey& EcPrivateKey::operator=(EcPrivateKey&&) noexcept = default;
EcPrivateKey::~EcPrivateKey() = default;
const EcPublicKey& EcPrivateKey::public_key() const { return impl_->public_key; }

Result<EcPrivateKey> EcPrivateKey::generate(Curve curve) {
  Key key(EVP_EC_gen(row_of(curve).group.data()));
  if (key == nullptr) return crypto_error("make a key");
  MLXGUARD_TRY_ASSIGN(const std::string pem, public_pem(key.get()));
  MLXGUARD_TRY_ASSIGN(EcPublicKey public_key, EcPublicKey::from_pem(pem));
  note_private_memory(library_memory_is_locked());
  return EcPrivateKey(std::make_unique<Impl>(Impl{std::move(key), std::move(public_key)}));
}

Result<Secret> EcPrivateKey::to_encrypted_pem(const Secret& passphrase) const {
  const Plain plain(EVP_PKEY2PKCS8(impl_->key.get()));
  Algorithm algorithm(PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), nullptr, kSaltBytes, nullptr,
                                            kScryptN, kScryptR, kScryptP));
  if (plain == nullptr || algorithm == nullptr) return crypto_error("prepare key encryption");
  const Encrypted encrypted(PKCS8_set0_pbe(
      passphrase.text().data(), static_cast<int>(passphrase.size()), plain.get(), algorithm.get()));
  if (encrypted == nullptr) return crypto_error("encrypt a key");
  static_cast<void>(algorithm.release());  // `encrypted` owns it now
  const Bio out(BIO_new(BIO_s_secmem()));
  char* data = nullptr;
  if (out == nullptr || PEM_write_bio_PKCS8(out.get(), encrypted.get()) != 1) {
    return crypto_error("write a key");
  }
  const long size = BIO_get_mem_data(out.get(), &data);
  return Secret::copy_of(as_bytes({data, static_cast<std::size_t>(size)}));
}

Result<EcPrivateKey> EcPrivateKey::from_encrypted_pem(std::string_view pem,
                                                      const Secret& passphrase) {
  auto der = der_of_pem(pem, PEM_STRING_PKCS8);
  if (!der) {
    // A key without encryption is well-formed PEM of another kind: say so.
    if (der.error().code == ErrorCode::kPem && pem.find("PRIVATE KEY-----") != pem.npos &&
        pem.find(PEM_STRING_PKCS8) == pem.npos) {
      return make_error(ErrorCode::kKeyFormat, "expected an encrypted private key");
    }
    return std::move(der).error();
  }
  const unsigned char* at = der->data();
  const Encrypted encrypted(d2i_X509_SIG(nullptr, &at, static_cast<long>(der->size())));
  ERR_clear_error();
  if (encrypted == nullptr || at != der->data() + der->size()) {
    return make_error(ErrorCode::kKeyFormat, "expected an encrypted private key (PKCS#8)");
  }
  const Plain plain(PKCS8_decrypt(encrypted.get(), passphrase.text().data(),
                                  static_cast<int>(passphrase.size())));
  ERR_clear_error();
  if (plain == nullptr) {
    return make_error(ErrorCode::kKeyPassphrase, "the passphrase does not open the key");
  }
  return Impl::of(Key(EVP_PKCS82PKEY(plain.get())));
}

Result<EcPrivateKey> EcPrivateKey::from_plain_pem_unsafe(std::string_view pem) {
  // `openssl ecparam -genkey` writes the curve as a block of its own before the key.
  constexpr std::string_view kParametersBegin = "-----BEGIN EC PARAMETERS-----";
  constexpr std::string_view kParametersEnd = "-----END EC PARAMETERS-----";
  if (pem.starts_with(kParametersBegin)) {
    const std::size_t end = pem.find(kParametersEnd);
    if (end == pem.npos) return make_error(ErrorCode::kPem, "expected a PEM block that ends");
    pem.remove_prefix(end + kParametersEnd.size());
  }
  const bool sec1 = pem.find("-----BEGIN EC PRIVATE KEY-----") != pem.npos;
  MLXGUARD_TRY_ASSIGN(auto der,
                      der_of_pem(pem, sec1 ? PEM_STRING_ECPRIVATEKEY : PEM_STRING_PKCS8INF));
  const unsigned char* at = der.data();
  const auto size = static_cast<long>(der.size());
  Key key;
  if (sec1) {
    key.reset(d2i_PrivateKey(EVP_PKEY_EC, nullptr, &at, size));
  } else {
    const Plain plain(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, size));
    if (plain != nullptr) key.reset(EVP_PKCS82PKEY(plain.get()));
  }
  const bool whole = at == der.data() + der.size();
  wipe_memory(der.data(), der.size());
  if (!whole) key.reset();
  return Impl::of(std::move(key));
}

Result<std::vector<std::uint8_t>> EcPrivateKey::sign(Bytes message) const {
  const Context context(EVP_MD_CTX_new());
  std::size_t size = 0;
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, row_of(impl_->public_key.curve()).digest(),
                         nullptr, impl_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) != 1) {
    return crypto_error("sign");
  }
  std::vector<std::uint8_t> signature(size);
  if (EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1) {
    return crypto_error("sign");
  }
  signature.resize(size);
  return signature;
}

}  // namespace mlxguard::crypto
