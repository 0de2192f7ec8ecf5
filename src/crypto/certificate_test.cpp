// SPDX-License-Identifier: Apache-2.0
#include "crypto/certificate.h"

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <optional>
#include <string_view>

namespace mlxguard::crypto {
namespace {

const WallTime kNow = WallTime(std::chrono::seconds(1'900'000'000));

struct Made {
  EVP_PKEY* key = nullptr;
  X509* x509 = nullptr;
  Made() = default;
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;
  Made(Made&& other) noexcept : key(other.key), x509(other.x509) {
    other.key = nullptr;
    other.x509 = nullptr;
  }
  Made& operator=(Made&&) = delete;
  ~Made() {
    EVP_PKEY_free(key);
    X509_free(x509);
  }
  [[nodiscard]] std::vector<std::uint8_t> der() const {
    unsigned char* data = nullptr;
    const int size = i2d_X509(x509, &data);
    std::vector<std::uint8_t> out(data, data + size);
    OPENSSL_free(data);
    return out;
  }
  [[nodiscard]] Certificate certificate() const {
    auto read = Certificate::from_der(der());
    REQUIRE(read.has_value());
    return *std::move(read);
  }
};

struct Wanted {
  const char* name = "leaf";
  const char* constraints = "critical,CA:FALSE";
  const char* usage = "critical,digitalSignature";
  const char* extended = nullptr;
  const char* names = nullptr;
  long from_s = -1000;  ///< relative to kNow
  long to_s = 1000;
  const EVP_MD* digest = nullptr;
  const char* allowed_names = nullptr;  ///< name constraints of an authority
  const char* key = "P-256";            ///< or "RSA"
};

void extend(X509* x509, X509* issuer, int id, const char* value) {
  if (value == nullptr) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value);
  REQUIRE(extension != nullptr);
  REQUIRE(X509_add_ext(x509, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

/// Self-signed without an issuer.
Made make(const Wanted& wanted, const Made* issuer = nullptr) {
  static long serial = 0x1000;
  Made made;
  made.key = std::string_view(wanted.key) == "RSA" ? EVP_RSA_gen(2048) : EVP_EC_gen(wanted.key);
  made.x509 = X509_new();
  REQUIRE(made.key != nullptr);
  X509_set_version(made.x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial);
  const auto at = std::chrono::system_clock::to_time_t(kNow);
  ASN1_TIME_set(X509_getm_notBefore(made.x509), at + wanted.from_s);
  ASN1_TIME_set(X509_getm_notAfter(made.x509), at + wanted.to_s);
  X509_set_pubkey(made.x509, made.key);
  X509_NAME* name = X509_get_subject_name(made.x509);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(wanted.name), -1, -1, 0);
  X509* signer = issuer == nullptr ? made.x509 : issuer->x509;
  X509_set_issuer_name(made.x509, X509_get_subject_name(signer));
  extend(made.x509, signer, NID_basic_constraints, wanted.constraints);
  extend(made.x509, signer, NID_key_usage, wanted.usage);
  extend(made.x509, signer, NID_ext_key_usage, wanted.extended);
  extend(made.x509, signer, NID_subject_alt_name, wanted.names);
  extend(made.x509, signer, NID_name_constraints, wanted.allowed_names);
  REQUIRE(X509_sign(made.x509, issuer == nullptr ? made.key : issuer->key,
                    wanted.digest == nullptr ? EVP_sha256() : wanted.digest) > 0);
  return made;
}

Wanted authority(const char* name) {
  Wanted wanted;
  wanted.name = name;
  wanted.constraints = "critical,CA:TRUE";
  wanted.usage = "critical,keyCertSign,cRLSign";
  return wanted;
}

enum class Ends : std::uint8_t { kAtItsTime, kNever };

std::string list_of(const Made& issuer, const Made* revoked, long from_s = -10, long to_s = 10,
                    Ends ends = Ends::kAtItsTime) {
  X509_CRL* list = X509_CRL_new();
  X509_CRL_set_version(list, 1);
  X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer.x509));
  const auto at = std::chrono::system_clock::to_time_t(kNow);
  ASN1_TIME* time = ASN1_TIME_set(nullptr, at + from_s);
  X509_CRL_set1_lastUpdate(list, time);
  if (revoked != nullptr) {
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->x509));
    X509_REVOKED_set_revocationDate(entry, time);
    X509_CRL_add0_revoked(list, entry);
  }
  ASN1_TIME_set(time, at + to_s);
  if (ends == Ends::kAtItsTime) X509_CRL_set1_nextUpdate(list, time);
  ASN1_TIME_free(time);
  REQUIRE(X509_CRL_sign(list, issuer.key, EVP_sha256()) > 0);
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509_CRL(out, list);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(out);
  X509_CRL_free(list);
  return text;
}

/// Root, intermediate, and a leaf as wanted.
struct Chain {
  Made root = make(authority("root"));
  Made intermediate;
  Made leaf;
  explicit Chain(const Wanted& wanted, Wanted issuer = authority("intermediate"))
      : intermediate(make(issuer, &root)), leaf(make(wanted, &intermediate)) {}
  [[nodiscard]] std::optional<ErrorCode> check(std::vector<std::string> crls = {}) const {
    ChainTrust trust;
    trust.authorities.push_back(root.certificate());
    trust.crls = std::move(crls);
    trust.now = kNow;
    const std::vector<Certificate> others{intermediate.certificate()};
    auto chain = verify_chain(leaf.certificate(), others, trust);
    if (!chain) return chain.error().code;
    CHECK(chain->size() == 3);
    CHECK(chain->back().fingerprint() == root.certificate().fingerprint());
    return std::nullopt;
  }
};

TEST_CASE("certificate: a chain of valid certificates ends in the authority") {
  CHECK(Chain({}).check() == std::nullopt);
}

TEST_CASE("certificate: what may sign is digital signatures or code signing") {
  Wanted wanted;
  wanted.usage = "critical,keyEncipherment";
  CHECK(Chain(wanted).check() == ErrorCode::kCertificateUsage);
  wanted.extended = "serverAuth";
  CHECK(Chain(wanted).check() == ErrorCode::kCertificateUsage);
  wanted.usage = nullptr;
  CHECK(Chain(wanted).check() == ErrorCode::kCertificateUsage);
  for (const char* extended : {"codeSigning", "critical,codeSigning", "serverAuth,codeSigning"}) {
    wanted.extended = extended;
    CHECK(Chain(wanted).check() == std::nullopt);
  }
  // Neither says that it is for signing.
  wanted.extended = nullptr;
  CHECK(Chain(wanted).check() == ErrorCode::kCertificateUsage);
  wanted.extended = "anyExtendedKeyUsage";
  CHECK(Chain(wanted).check() == ErrorCode::kCertificateUsage);
  // Also where one of the two says that it is, the other one may not say that it is not.
  wanted.extended = "codeSigning";
  wanted.usage = "critical,keyEncipherment";
  CHECK(Chain(wanted).check() == ErrorCode::kCertificateUsage);
  wanted.usage = "critical,digitalSignature";
  for (const char* extended :
       {"serverAuth", "critical,emailProtection", "clientAuth,OCSPSigning"}) {
    wanted.extended = extended;
    CHECK(Chain(wanted).check() == ErrorCode::kCertificateUsage);
    CHECK(Chain(wanted).leaf.certificate().check_may_sign(kNow).error().code ==
          ErrorCode::kCertificateUsage);
  }
  for (const char* extended : {"codeSigning", "anyExtendedKeyUsage"}) {
    wanted.extended = extended;
    CHECK(Chain(wanted).check() == std::nullopt);
  }
}

TEST_CASE("certificate: a key of another kind is nobody's, whoever certified it") {
  Wanted wanted;
  wanted.key = "RSA";
  const Chain rsa(wanted);
  CHECK(rsa.check() == std::nullopt);  // the chain is good, what it is about is not
  CHECK(rsa.leaf.certificate().public_key().error().code == ErrorCode::kKeyFormat);
  wanted.key = "secp256k1";
  CHECK(Chain(wanted).leaf.certificate().public_key().error().code == ErrorCode::kKeyFormat);
  wanted.key = "P-521";
  CHECK(Chain(wanted).leaf.certificate().public_key().has_value());
}

TEST_CASE("certificate: validity is that of now, of every certificate in the chain") {
  Wanted expired;
  expired.to_s = -1;
  CHECK(Chain(expired).check() == ErrorCode::kCertificateExpired);
  CHECK(Chain(expired).leaf.certificate().check_may_sign(kNow).error().code ==
        ErrorCode::kCertificateExpired);
  Wanted early;
  early.from_s = 1;
  CHECK(Chain(early).check() == ErrorCode::kCertificateNotYetValid);
  CHECK(Chain(early).leaf.certificate().check_may_sign(kNow).error().code ==
        ErrorCode::kCertificateNotYetValid);
  Wanted issuer = authority("intermediate");
  issuer.to_s = -1;
  CHECK(Chain({}, issuer).check() == ErrorCode::kCertificateExpired);
  issuer.from_s = 1;
  issuer.to_s = 1000;
  CHECK(Chain({}, issuer).check() == ErrorCode::kCertificateNotYetValid);
  Wanted old = authority("root");
  old.to_s = -1;
  const Made root = make(old);
  const Made leaf = make({}, &root);
  ChainTrust trust;
  trust.authorities.push_back(root.certificate());
  trust.now = kNow;
  CHECK(verify_chain(leaf.certificate(), {}, trust).error().code == ErrorCode::kCertificateExpired);
  trust.now = kNow - std::chrono::seconds(10);
  CHECK(verify_chain(leaf.certificate(), {}, trust).has_value());
}

TEST_CASE("certificate: an issuer has to be an authority that signs certificates") {
  Wanted issuer = authority("intermediate");
  issuer.constraints = "critical,CA:FALSE";
  CHECK(Chain({}, issuer).check() == ErrorCode::kCertificateUsage);
  issuer = authority("intermediate");
  issuer.usage = "critical,digitalSignature";
  CHECK(Chain({}, issuer).check() == ErrorCode::kCertificateUsage);
  // The library takes the right to sign certificates for the word that it is an authority.
  issuer = authority("intermediate");
  issuer.constraints = nullptr;
  CHECK(Chain({}, issuer).check() == ErrorCode::kCertificateUsage);
}

TEST_CASE("certificate: an authority's own limits hold for what is below it") {
  Wanted issuer = authority("intermediate");
  issuer.constraints = "critical,CA:TRUE,pathlen:0";
  CHECK(Chain({}, issuer).check() == std::nullopt);
  const Made root = make(authority("root"));
  const Made limited = make(issuer, &root);
  const Made further = make(authority("further"), &limited);
  const Made leaf = make({}, &further);
  ChainTrust trust;
  trust.authorities.push_back(root.certificate());
  trust.now = kNow;
  const std::vector<Certificate> others{further.certificate(), limited.certificate()};
  CHECK(verify_chain(leaf.certificate(), others, trust).error().code ==
        ErrorCode::kCertificateUsage);

  issuer = authority("intermediate");
  issuer.allowed_names = "critical,permitted;email:.example.org";
  Wanted named;
  named.names = "email:ci@build.example.org";
  CHECK(Chain(named, issuer).check() == std::nullopt);
  named.names = "email:ci@example.com";
  CHECK(Chain(named, issuer).check() == ErrorCode::kCertificateUsage);
}

TEST_CASE("certificate: the order in which a bundle lists its issuers does not matter") {
  const Made root = make(authority("root"));
  const Made first = make(authority("first"), &root);
  const Made second = make(authority("second"), &first);
  const Made leaf = make({}, &second);
  ChainTrust trust;
  trust.authorities.push_back(root.certificate());
  trust.now = kNow;
  std::vector<Certificate> others{first.certificate(), second.certificate(), root.certificate(),
                                  leaf.certificate(), first.certificate()};
  CHECK(verify_chain(leaf.certificate(), others, trust).has_value());
  std::reverse(others.begin(), others.end());
  CHECK(verify_chain(leaf.certificate(), others, trust).has_value());
  others.erase(others.begin() + 3, others.end());  // without `second` the chain has a gap
  others.erase(std::remove_if(others.begin(), others.end(),
                              [&](const Certificate& one) {
                                return one.fingerprint() == second.certificate().fingerprint();
                              }),
               others.end());
  CHECK(verify_chain(leaf.certificate(), others, trust).error().code ==
        ErrorCode::kCertificateUntrusted);
}

TEST_CASE("certificate: two authorities that vouch for each other vouch for nothing") {
  Made one = make(authority("one"));
  Made other = make(authority("other"), &one);
  X509_set_issuer_name(one.x509, X509_get_subject_name(other.x509));
  REQUIRE(X509_sign(one.x509, other.key, EVP_sha256()) > 0);
  const Made leaf = make({}, &one);
  ChainTrust trust;
  trust.authorities.push_back(make(authority("root")).certificate());
  trust.now = kNow;
  const std::vector<Certificate> others{one.certificate(), other.certificate()};
  CHECK_FALSE(verify_chain(leaf.certificate(), others, trust).has_value());
}

TEST_CASE("certificate: another authority of the same name is not trusted") {
  const Chain chain{{}};
  ChainTrust trust;
  trust.authorities.push_back(make(authority("root")).certificate());
  trust.now = kNow;
  const std::vector<Certificate> others{chain.intermediate.certificate(), chain.root.certificate()};
  CHECK(verify_chain(chain.leaf.certificate(), others, trust).has_value() == false);
  trust.authorities.clear();
  CHECK(verify_chain(chain.leaf.certificate(), others, trust).error().code ==
        ErrorCode::kCertificateUntrusted);
  // An intermediate that is trusted does not make its own issuer so.
  trust.authorities.push_back(chain.intermediate.certificate());
  CHECK(verify_chain(chain.leaf.certificate(), {}, trust).error().code ==
        ErrorCode::kCertificateUntrusted);
}

TEST_CASE("certificate: weak digests are refused") {
  Wanted weak;
  weak.digest = EVP_sha1();
  CHECK(Chain(weak).check() == ErrorCode::kCertificateWeak);
}

TEST_CASE("certificate: with revocation lists every issuer needs one, in date and its own") {
  const Chain chain{{}};
  const std::string roots = list_of(chain.root, nullptr);
  const std::string good = list_of(chain.intermediate, nullptr);
  CHECK(chain.check({roots, good}) == std::nullopt);
  CHECK(chain.check({roots, list_of(chain.intermediate, &chain.leaf)}) ==
        ErrorCode::kCertificateRevoked);
  CHECK(chain.check({list_of(chain.root, &chain.intermediate), good}) ==
        ErrorCode::kCertificateRevoked);
  CHECK(chain.check({roots}) == ErrorCode::kCertificateCrl);
  CHECK(chain.check({good}) == ErrorCode::kCertificateCrl);
  CHECK(chain.check({roots, list_of(chain.intermediate, nullptr, -10, -1)}) ==
        ErrorCode::kCertificateCrl);
  CHECK(chain.check({roots, list_of(chain.intermediate, nullptr, 1, 10)}) ==
        ErrorCode::kCertificateCrl);
  CHECK(chain.check({roots, list_of(make(authority("intermediate")), nullptr)}) ==
        ErrorCode::kCertificateCrl);
  // In date for ever, as a list without an end would be, is not in date.
  CHECK(chain.check({roots, list_of(chain.intermediate, nullptr, -10, 10, Ends::kNever)}) ==
        ErrorCode::kCertificateCrl);
  CHECK(chain.check({"no list"}) == ErrorCode::kCertificateCrl);
}

TEST_CASE("certificate: says whose it is") {
  Wanted wanted;
  wanted.names = "email:ci@example.org,URI:https://example.org/x,DNS:example.org";
  const Certificate leaf = Chain(wanted).leaf.certificate();
  CHECK(leaf.identities() == std::vector<std::string>{"email:ci@example.org",
                                                      "uri:https://example.org/x",
                                                      "dns:example.org"});
  CHECK(leaf.subject() == "CN=leaf");
  CHECK(leaf.serial().size() == 4);
  CHECK(leaf.public_key().has_value());
}

TEST_CASE("certificate: a key has one fingerprint, however the certificate writes its point") {
  Made leaf = make({});
  const std::string usual = leaf.certificate().public_key()->fingerprint();
  for (const char* form : {"compressed", "hybrid"}) {
    REQUIRE(EVP_PKEY_set_utf8_string_param(leaf.key, "point-format", form) == 1);
    REQUIRE(X509_set_pubkey(leaf.x509, leaf.key) == 1);
    REQUIRE(X509_sign(leaf.x509, leaf.key, EVP_sha256()) > 0);
    // The revocation list names keys by this.
    CHECK(leaf.certificate().public_key()->fingerprint() == usual);
  }
}

TEST_CASE("certificate: bytes that are no certificate, or more than one") {
  std::vector<std::uint8_t> der = make({}).der();
  CHECK(Certificate::from_der({}).error().code == ErrorCode::kCertificateInvalid);
  der.push_back(0);
  CHECK(Certificate::from_der(der).error().code == ErrorCode::kCertificateInvalid);
  der.resize(der.size() / 2);
  CHECK(Certificate::from_der(der).error().code == ErrorCode::kCertificateInvalid);
  CHECK(Certificate::from_pem("").error().code == ErrorCode::kCertificateInvalid);
  CHECK(Certificate::from_pem("-----BEGIN CERTIFICATE-----\nAAAA").error().code ==
        ErrorCode::kCertificateInvalid);
}

}  // namespace
}  // namespace mlxguard::crypto
