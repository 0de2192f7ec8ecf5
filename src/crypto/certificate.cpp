// SPDX-License-Identifier: Apache-2.0
#include "crypto/certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "crypto/digest.h"

namespace mlxguard::crypto {
namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
void free_names(GENERAL_NAMES* names) { sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free); }
void free_stack(STACK_OF(X509) * stack) { sk_X509_free(stack); }

using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Parsed = std::unique_ptr<X509, Freed<X509_free>>;
using List = std::unique_ptr<X509_CRL, Freed<X509_CRL_free>>;
using Store = std::unique_ptr<X509_STORE, Freed<X509_STORE_free>>;
using Check = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>>;
using Stack = std::unique_ptr<STACK_OF(X509), Freed<free_stack>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freed<free_names>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;

/// 112 bits: no SHA-1, no RSA below 2048.
constexpr int kSecurityLevel = 2;
constexpr std::size_t kCertificatesMax = 64;

Error invalid(const char* message) {
  ERR_clear_error();
  return make_error(ErrorCode::kCertificateInvalid, message);
}

std::string hex(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Bio reading(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(const Bio& out) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

struct Verdict {
  int status;
  ErrorCode code;
  const char* message;
};
constexpr Verdict kVerdicts[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, ErrorCode::kCertificateExpired, "a certificate has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, ErrorCode::kCertificateNotYetValid,
     "a certificate is not valid yet"},
    {X509_V_ERR_CERT_REVOKED, ErrorCode::kCertificateRevoked, "a certificate is revoked"},
    {X509_V_ERR_UNABLE_TO_GET_CRL, ErrorCode::kCertificateCrl,
     "expected a revocation list of the issuer"},
    {X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, ErrorCode::kCertificateCrl,
     "a revocation list whose issuer is not known"},
    {X509_V_ERR_CRL_HAS_EXPIRED, ErrorCode::kCertificateCrl, "a revocation list is out of date"},
    {X509_V_ERR_CRL_NOT_YET_VALID, ErrorCode::kCertificateCrl,
     "a revocation list is not valid yet"},
    {X509_V_ERR_CRL_SIGNATURE_FAILURE, ErrorCode::kCertificateCrl,
     "a revocation list is wrongly signed"},
    {X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD, ErrorCode::kCertificateCrl,
     "a revocation list is malformed"},
    {X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD, ErrorCode::kCertificateCrl,
     "a revocation list is malformed"},
    {X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, ErrorCode::kCertificateCrl,
     "a revocation list has an extension that is not understood"},
    {X509_V_ERR_DIFFERENT_CRL_SCOPE, ErrorCode::kCertificateCrl,
     "a revocation list is of another scope"},
    {X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, ErrorCode::kCertificateCrl,
     "the issuer of a revocation list may not sign one"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, ErrorCode::kCertificateUntrusted, ""},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, ErrorCode::kCertificateUntrusted, ""},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, ErrorCode::kCertificateUntrusted, ""},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, ErrorCode::kCertificateUntrusted, ""},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, ErrorCode::kCertificateUntrusted, ""},
    {X509_V_ERR_CERT_UNTRUSTED, ErrorCode::kCertificateUntrusted, ""},
    {X509_V_ERR_CERT_REJECTED, ErrorCode::kCertificateUntrusted, ""},
    {X509_V_ERR_INVALID_CA, ErrorCode::kCertificateUsage, "an issuer is no authority"},
    {X509_V_ERR_INVALID_NON_CA, ErrorCode::kCertificateUsage, "an issuer is no authority"},
    {X509_V_ERR_KEYUSAGE_NO_CERTSIGN, ErrorCode::kCertificateUsage,
     "an issuer may not sign certificates"},
    {X509_V_ERR_PATH_LENGTH_EXCEEDED, ErrorCode::kCertificateUsage,
     "more issuers than an authority allows below it"},
    {X509_V_ERR_PERMITTED_VIOLATION, ErrorCode::kCertificateUsage,
     "a certificate names what its issuer may not vouch for"},
    {X509_V_ERR_EXCLUDED_VIOLATION, ErrorCode::kCertificateUsage,
     "a certificate names what its issuer may not vouch for"},
    {X509_V_ERR_EE_KEY_TOO_SMALL, ErrorCode::kCertificateWeak, "the certificate's key is too weak"},
    {X509_V_ERR_CA_KEY_TOO_SMALL, ErrorCode::kCertificateWeak, "an issuer's key is too weak"},
    {X509_V_ERR_CA_MD_TOO_WEAK, ErrorCode::kCertificateWeak,
     "a certificate is signed with a digest that is too weak"},
};

Error error_of(int status) {
  ERR_clear_error();
  for (const Verdict& row : kVerdicts) {
    if (row.status != status) continue;
    const std::string message = row.message;
    return make_error(row.code,
                      message.empty() ? "the chain does not end in a trusted authority" : message);
  }
  return make_error(ErrorCode::kCertificateInvalid, std::string("the chain does not verify: ") +
                                                        X509_verify_cert_error_string(status));
}

/// What a key may be used for says each extension by itself, and both have to agree (RFC 5280): a
/// web server's certificate of the same authority is for signatures too, but not for these. One of
/// them has to say that it is for signing.
Result<void> check_usage(X509* leaf) {
  const std::uint32_t flags = X509_get_extension_flags(leaf);
  const bool has_usage = (flags & EXFLAG_KUSAGE) != 0;
  const bool has_extended = (flags & EXFLAG_XKUSAGE) != 0;
  const bool may_sign = has_usage && (X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) != 0;
  const std::uint32_t extended = has_extended ? X509_get_extended_key_usage(leaf) : 0;
  const bool for_code = (extended & XKU_CODE_SIGN) != 0;
  const bool forbidden =
      (has_usage && !may_sign) || (has_extended && (extended & (XKU_CODE_SIGN | XKU_ANYEKU)) == 0);
  if (!forbidden && (may_sign || for_code)) return {};
  return make_error(ErrorCode::kCertificateUsage,
                    "expected a certificate for digital signatures or code signing");
}

/// Of who issued a certificate of the chain, the operator's own authority excepted. The library
/// takes some that only seem to be authorities, as they were made before there was this extension.
Result<void> check_issuer(X509* issuer) {
  const bool says_authority = (X509_get_extension_flags(issuer) & EXFLAG_BCONS) != 0 &&
                              (X509_get_extension_flags(issuer) & EXFLAG_CA) != 0;
  if (says_authority) return {};
  return make_error(ErrorCode::kCertificateUsage, "an issuer is no authority");
}

/// A list without an end would be in date for ever: then nobody could tell that a newer one was
/// kept from us.
Result<void> check_list(const X509_CRL* list) {
  if (X509_CRL_get0_nextUpdate(list) != nullptr) return {};
  return make_error(ErrorCode::kCertificateCrl,
                    "expected a revocation list that says until when it is in date");
}

Result<void> add_der_list(X509_STORE* store, const std::string& text) {
  const Bytes bytes = as_bytes(text);
  const unsigned char* at = bytes.data();
  const List list(d2i_X509_CRL(nullptr, &at, static_cast<long>(bytes.size())));
  const bool read = list != nullptr && at == bytes.data() + bytes.size();
  if (read) MLXGUARD_TRY(check_list(list.get()));
  const bool added = read && X509_STORE_add_crl(store, list.get()) == 1;
  ERR_clear_error();
  if (added) return {};
  return make_error(ErrorCode::kCertificateCrl, "expected a revocation list in PEM or DER");
}

Result<void> add_lists(X509_STORE* store, const std::vector<std::string>& crls) {
  for (const std::string& text : crls) {
    if (text.find("-----BEGIN") == text.npos) {
      MLXGUARD_TRY(add_der_list(store, text));
      continue;
    }
    const Bio in = reading(text);
    std::size_t count = 0;
    for (; in != nullptr; ++count) {
      const List list(PEM_read_bio_X509_CRL(in.get(), nullptr, nullptr, nullptr));
      if (list == nullptr) {
        if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) count = 0;
        break;
      }
      MLXGUARD_TRY(check_list(list.get()));
      if (X509_STORE_add_crl(store, list.get()) != 1)
        return invalid("a revocation list that cannot be used");
    }
    ERR_clear_error();
    if (count == 0)
      return make_error(ErrorCode::kCertificateCrl, "expected a revocation list in PEM");
  }
  return {};
}

}  // namespace

struct Certificate::Impl {
  Parsed parsed;
  std::vector<std::uint8_t> der;
  std::string fingerprint;
};

Certificate::Certificate(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Result<Certificate> Certificate::from_der(Bytes der) {
  if (der.size() > limits::kKeyFileBytesMax) {
    return make_error(ErrorCode::kTooLarge, "larger than a certificate may be");
  }
  auto impl = std::make_shared<Impl>();
  const unsigned char* at = der.data();
  impl->parsed.reset(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (impl->parsed == nullptr || at != der.data() + der.size()) {
    return invalid("expected one certificate in DER and nothing beside it");
  }
  // Reads the extensions, once, while no other thread looks.
  if (X509_check_purpose(impl->parsed.get(), -1, 0) != 1 ||
      (X509_get_extension_flags(impl->parsed.get()) & EXFLAG_INVALID) != 0) {
    return invalid("a certificate with malformed extensions");
  }
  impl->der.assign(der.begin(), der.end());
  impl->fingerprint = hex(sha256(impl->der));
  ERR_clear_error();
  return Certificate(std::move(impl));
}

Result<std::vector<Certificate>> Certificate::from_pem(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  std::vector<Certificate> certificates;
  for (std::size_t from = pem.find(kBegin); from != pem.npos; from = pem.find(kBegin, from)) {
    const std::size_t end = pem.find(kEnd, from);
    if (end == pem.npos) return invalid("expected a PEM block that ends");
    if (certificates.size() == kCertificatesMax) return invalid("more certificates than allowed");
    const std::string block(pem.substr(from, end + kEnd.size() - from));
    const Bio in = reading(block);
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    const bool read = in != nullptr && PEM_read_bio(in.get(), &name, &header, &data, &size) == 1;
    std::vector<std::uint8_t> der;
    if (read) der.assign(data, data + size);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    if (!read) return invalid("expected a certificate in PEM");
    MLXGUARD_TRY_ASSIGN(Certificate certificate, from_der(der));
    certificates.push_back(std::move(certificate));
    from = end + kEnd.size();
  }
  if (certificates.empty()) return invalid("expected a certificate in PEM");
  return certificates;
}

const std::vector<std::uint8_t>& Certificate::der() const { return impl_->der; }
const std::string& Certificate::fingerprint() const { return impl_->fingerprint; }

std::string Certificate::subject() const {
  const Bio out(BIO_new(BIO_s_mem()));
  if (out == nullptr) return {};
  X509_NAME_print_ex(out.get(), X509_get_subject_name(impl_->parsed.get()), 0,
                     XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return text_of(out);
}

std::string Certificate::serial() const {
  const Number number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(impl_->parsed.get()), nullptr));
  if (number == nullptr) return {};
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(BN_num_bytes(number.get())));
  BN_bn2bin(number.get(), bytes.data());
  std::string text = hex(bytes);
  if (text.size() > 1 && text.front() == '0') text.erase(0, 1);
  return text.empty() ? "0" : text;
}

std::vector<std::string> Certificate::identities() const {
  std::vector<std::string> found;
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(impl_->parsed.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    const char* kind = name->type == GEN_EMAIL ? "email:"
                       : name->type == GEN_URI ? "uri:"
                       : name->type == GEN_DNS ? "dns:"
                                               : nullptr;
    if (kind == nullptr) continue;
    const ASN1_IA5STRING* text = name->d.ia5;
    const std::string value(reinterpret_cast<const char*>(
                                ASN1_STRING_get0_data(text)),  // bytes of the library's own string
                            static_cast<std::size_t>(ASN1_STRING_length(text)));
    // A NUL inside has fooled comparisons before; such a name is nobody's.
    if (value.find('\0') == value.npos) found.push_back(kind + value);
  }
  ERR_clear_error();
  return found;
}

Result<void> Certificate::check_may_sign(WallTime now) const {
  std::time_t at = std::chrono::system_clock::to_time_t(now);
  if (X509_cmp_time(X509_get0_notAfter(impl_->parsed.get()), &at) <= 0) {
    return error_of(X509_V_ERR_CERT_HAS_EXPIRED);
  }
  if (X509_cmp_time(X509_get0_notBefore(impl_->parsed.get()), &at) >= 0) {
    return error_of(X509_V_ERR_CERT_NOT_YET_VALID);
  }
  return check_usage(impl_->parsed.get());
}

Result<EcPublicKey> Certificate::public_key() const {
  const Bio out(BIO_new(BIO_s_mem()));
  EVP_PKEY* key = X509_get0_pubkey(impl_->parsed.get());
  const bool written =
      out != nullptr && key != nullptr && PEM_write_bio_PUBKEY(out.get(), key) == 1;
  ERR_clear_error();
  if (!written) return make_error(ErrorCode::kKeyFormat, "a certificate without a readable key");
  return EcPublicKey::from_pem(text_of(out));
}

Result<std::vector<Certificate>> verify_chain(const Certificate& leaf,
                                              std::span<const Certificate> untrusted,
                                              const ChainTrust& trust) {
  const Store store(X509_STORE_new());
  const Check check(X509_STORE_CTX_new());
  const Stack others(sk_X509_new_null());
  if (store == nullptr || check == nullptr || others == nullptr) return invalid("out of memory");
  for (const Certificate& authority : trust.authorities) {
    if (X509_STORE_add_cert(store.get(), authority.impl_->parsed.get()) != 1) {
      return invalid("an authority that cannot be used");
    }
  }
  MLXGUARD_TRY(add_lists(store.get(), trust.crls));
  for (const Certificate& other : untrusted) {
    if (sk_X509_push(others.get(), other.impl_->parsed.get()) == 0) return invalid("out of memory");
  }
  if (X509_STORE_CTX_init(check.get(), store.get(), leaf.impl_->parsed.get(), others.get()) != 1) {
    return invalid("the chain cannot be checked");
  }
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(check.get());
  X509_VERIFY_PARAM_set_auth_level(rules, kSecurityLevel);
  X509_VERIFY_PARAM_set_time(rules, std::chrono::system_clock::to_time_t(trust.now));
  // An authority's signature over itself is not looked at: the operator named it, it vouches for
  // nothing.
  if (!trust.crls.empty() &&
      X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1) {
    return invalid("the chain cannot be checked");
  }
  if (X509_verify_cert(check.get()) != 1) return error_of(X509_STORE_CTX_get_error(check.get()));
  ERR_clear_error();
  MLXGUARD_TRY(check_usage(leaf.impl_->parsed.get()));

  std::vector<Certificate> chain;
  const STACK_OF(X509)* built = X509_STORE_CTX_get0_chain(check.get());
  for (int i = 1; i + 1 < sk_X509_num(built); ++i) {
    MLXGUARD_TRY(check_issuer(sk_X509_value(built, i)));
  }
  for (int i = 0; i < sk_X509_num(built); ++i) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(sk_X509_value(built, i), &der);
    if (size <= 0) return invalid("the chain cannot be written");
    auto certificate = Certificate::from_der({der, static_cast<std::size_t>(size)});
    OPENSSL_free(der);
    MLXGUARD_TRY_ASSIGN(Certificate good, std::move(certificate));
    chain.push_back(std::move(good));
  }
  return chain;
}

bool verify_hashed_with_sha256(const EcPublicKey& key, Bytes message, Bytes signature) {
  const Bio in = reading(key.pem());
  const Key read(in == nullptr ? nullptr
                               : PEM_read_bio_PUBKEY(in.get(), nullptr, nullptr, nullptr));
  const Context context(EVP_MD_CTX_new());
  const bool good =
      read != nullptr && context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, read.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                       message.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace mlxguard::crypto
