// SPDX-License-Identifier: Apache-2.0
#include "crypto/ec_key.h"

#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <string>

using namespace mlxguard;
using namespace mlxguard::crypto;

namespace {

// The message "mlxguard", signed by `openssl dgst -sha256 -sign`; the key and its `sha256sum`.
constexpr std::string_view kPem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBCM6WAzZqp1217dTV9X1mGinAiDX\n"
    "Y1dgP6mtBumMul6hrsY1XC+0HbY+uRFzTYfene25CCjp1QciKXj6iyOh2Q==\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kFingerprint =
    "718f9b5fadd085a86c1010234274ad54203d296dd6065ba231d143c2b357f5fd";
constexpr std::string_view kSignature =
    "304402206fea2698f5ac85480fb6b41e474d629567e80a180fd109c5b5fe46122f11abb0022049d4"
    "25756bf44aa2df98588ffa2d4aeadbdd6dc890bad30e89eb3308de0962a9";
/// The same curve, given by its numbers instead of by its name.
constexpr std::string_view kExplicitPem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAA\n"
    "AAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA////\n"
    "///////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd\n"
    "NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5\n"
    "RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA\n"
    "//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABAQjOlgM2aqddte3U1fV9Zho\n"
    "pwIg12NXYD+prQbpjLpeoa7GNVwvtB22PrkRc02H3p3tuQgo6dUHIil4+osjodk=\n"
    "-----END PUBLIC KEY-----\n";
/// The same key with its point written as x and a sign, and as x, y and a sign.
constexpr std::string_view kCompressedPem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADBCM6WAzZqp1217dTV9X1mGinAiDX\n"
    "Y1dgP6mtBumMul4=\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kHybridPem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAHBCM6WAzZqp1217dTV9X1mGinAiDX\n"
    "Y1dgP6mtBumMul6hrsY1XC+0HbY+uRFzTYfene25CCjp1QciKXj6iyOh2Q==\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kRsaPem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDAK5YITTYurprNDLceVHOMldVV\n"
    "JwpPR+yqyWPWB8VaaQ36qTyifLXb1wg0WbvSd/1vsiL3Vx8WSOWCoB7C6VrpgSND\n"
    "Bo+efpYXc44JH/0+ww+2aqixa59gYGdhTy0EVtSOziCdKL4zbDLADAk7jF/PmBOa\n"
    "XVXQjvH4ji9DrYxYdwIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kSecp256k1Pem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE9mUuQ7KEURWyV3vndhKVJ5aTVHtl4kHS\n"
    "0XKnjZhhMQFn6Yd6i9Hoja9zcTjrfRLyxY6PMfrd7tJJBqn8aZ0xRg==\n"
    "-----END PUBLIC KEY-----\n";
std::vector<std::uint8_t> from_hex(std::string_view hex) {
  std::vector<std::uint8_t> out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

std::string without_encryption_in_its_name(std::string_view pem) {
  std::string text(pem);
  for (std::size_t at = 0; (at = text.find("ENCRYPTED ", at)) != text.npos;) text.erase(at, 10);
  return text;
}

/// The DER of one PEM block, in hexadecimal.
std::string der_hex(std::string_view pem) {
  const std::size_t begin = pem.find('\n') + 1;
  std::string base64(pem.substr(begin, pem.find("\n-----END") - begin));
  base64.erase(std::remove(base64.begin(), base64.end(), '\n'), base64.end());
  std::vector<std::uint8_t> der(base64.size());
  const int size =
      EVP_DecodeBlock(der.data(), reinterpret_cast<const unsigned char*>(base64.data()),
                      static_cast<int>(base64.size()));
  std::string hex;
  for (int i = 0; i < size; ++i) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex.push_back(kDigits[der[static_cast<std::size_t>(i)] >> 4]);
    hex.push_back(kDigits[der[static_cast<std::size_t>(i)] & 15]);
  }
  return hex;
}

Secret secret(std::string_view text) { return Secret::copy_of(as_bytes(text)); }

ErrorCode public_code(std::string_view pem) {
  const auto key = EcPublicKey::from_pem(pem);
  REQUIRE(!key.has_value());
  return key.error().code;
}

ErrorCode private_code(std::string_view pem, std::string_view passphrase = "a passphrase") {
  const auto key = EcPrivateKey::from_encrypted_pem(pem, secret(passphrase));
  REQUIRE(!key.has_value());
  return key.error().code;
}

}  // namespace

TEST_CASE("ec key: what openssl made is read, named and verified alike") {
  const auto key = EcPublicKey::from_pem(kPem).value();
  CHECK(key.curve() == Curve::kP256);
  CHECK(name_of(key.curve()) == "P-256");
  CHECK(key.pem() == kPem);
  CHECK(key.fingerprint() == kFingerprint);
  CHECK(key.verify(as_bytes("mlxguard"), from_hex(kSignature)));
  CHECK(!key.verify(as_bytes("mlxguarD"), from_hex(kSignature)));
}

TEST_CASE("ec key: the fingerprint is that of the key, however its PEM was laid out") {
  std::string windows(kPem);
  for (std::size_t at = 0; (at = windows.find('\n', at)) != windows.npos; at += 2) {
    windows.insert(at, "\r");
  }
  CHECK(EcPublicKey::from_pem(windows).value().fingerprint() == kFingerprint);
  CHECK(EcPublicKey::from_pem("\n" + std::string(kPem) + " \n").value().pem() == kPem);
}

TEST_CASE("ec key: a point written in another way is the same key with the same fingerprint") {
  for (const std::string_view pem : {kCompressedPem, kHybridPem}) {
    const auto key = EcPublicKey::from_pem(pem);
    REQUIRE(key.has_value());
    CHECK(key->pem() == kPem);
    CHECK(key->fingerprint() == kFingerprint);
    CHECK(key->verify(as_bytes("mlxguard"), from_hex(kSignature)));
  }
}

TEST_CASE("ec key: a signature has one encoding, and its numbers are in their range") {
  const auto key = EcPublicKey::from_pem(kPem).value();
  const auto verifies = [&](const std::string& hex) {
    return key.verify(as_bytes("mlxguard"), from_hex(hex));
  };
  const std::string r = "6fea2698f5ac85480fb6b41e474d629567e80a180fd109c5b5fe46122f11abb0";
  const std::string s = "49d425756bf44aa2df98588ffa2d4aeadbdd6dc890bad30e89eb3308de0962a9";
  const std::string n = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
  CHECK(verifies("30440220" + r + "0220" + s));
  // The other s that the mathematics allow: nothing here takes a signature for a name.
  CHECK(verifies("30450220" + r + "022100" +
                 "b62bda89940bb55e2067a77005d2b514e1098ce5165ccb7669ce97ba1e59c2a8"));
  for (const std::string& hex :
       {"30440220" + r + "0220" + s + "00",    // something behind it
        "30450220" + r + "0220" + s + "00",    // or inside of it
        "3081440220" + r + "0220" + s,         // a length in a longer form
        "30800220" + r + "0220" + s + "0000",  // or in none
        "3046022100" + r + "022100" + s,       // numbers with a zero before them
        "3025020100"
        "0220" +
            s,                      // no r
        "30250220" + r + "020100",  // no s
        std::string("3006020100020100"), std::string("3000"), std::string(),
        "3045022100" + n + "0220" + s,                 // the order of the curve
        "30440220" + r + "0220" + "ff" + s.substr(2),  // negative
        r + s}) {                                      // as tokens give it
    CAPTURE(hex);
    CHECK_FALSE(verifies(hex));
  }
}

TEST_CASE("ec key: each curve is written as openssl writes it") {
  constexpr std::string_view kP384 =
      "-----BEGIN PUBLIC KEY-----\n"
      "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE6ytZCqN4D6noQlplMnCQxnkmh96b/Qw0\n"
      "YBUyTDIau9/CHMLLRanQ4ENZPyLxj1vQk6BTXC5dwxbGEB6g0GJToPnb/MFhATOO\n"
      "jJGyuET73fBGnKAz/xl7sbf3DdR7b9Wb\n"
      "-----END PUBLIC KEY-----\n";
  constexpr std::string_view kP521 =
      "-----BEGIN PUBLIC KEY-----\n"
      "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAbTtveHGbHmoDWRRzH2Gh+oYyIgz/\n"
      "SQtNXpx3jtIIfaELDQGd/sf6YLqxzFoFIb6kvFvkcNZrVrZtowpapAFlpZMAcwmB\n"
      "YwQm5bznTb/eycj3dbq+QLwu0Yt6S4x5vGmQyjlT/7mMFP5+hpXy9oABNWdIW7mp\n"
      "QgP+gyHWuPvOfACeb/A=\n"
      "-----END PUBLIC KEY-----\n";
  for (const std::string_view pem : {kPem, kP384, kP521}) {
    CAPTURE(pem);
    const auto key = EcPublicKey::from_pem(pem).value();
    CHECK(key.pem() == pem);
  }
}

TEST_CASE("ec key: refuses what is not one public key of a known curve") {
  const std::string pem(kPem);
  CHECK(public_code("") == ErrorCode::kPem);
  CHECK(public_code("junk") == ErrorCode::kPem);
  CHECK(public_code(pem.substr(0, 60)) == ErrorCode::kPem);
  CHECK(public_code(pem + pem) == ErrorCode::kPem);
  CHECK(public_code("comment\n" + pem) == ErrorCode::kPem);
  CHECK(public_code(pem + "comment\n") == ErrorCode::kPem);
  std::string private_pem = pem;
  for (std::size_t at = 0; (at = private_pem.find("PUBLIC", at)) != pem.npos;) {
    private_pem.replace(at, 6, "PRIVATE");
  }
  CHECK(public_code(private_pem) == ErrorCode::kPem);
  CHECK(public_code(kRsaPem) == ErrorCode::kKeyFormat);
  CHECK(public_code(kSecp256k1Pem) == ErrorCode::kKeyFormat);
  CHECK(public_code(kExplicitPem) == ErrorCode::kKeyFormat);
  CHECK(public_code(std::string(100'000, ' ')) == ErrorCode::kTooLarge);
}

TEST_CASE("ec key: each curve signs and verifies; no bit of message or signature may differ") {
  for (const Curve curve : {Curve::kP256, Curve::kP384, Curve::kP521}) {
    INFO(name_of(curve));
    const auto key = EcPrivateKey::generate(curve).value();
    const auto other = EcPrivateKey::generate(curve).value();
    const auto signature = key.sign(as_bytes("message")).value();
    CHECK(key.public_key().curve() == curve);
    CHECK(key.public_key().verify(as_bytes("message"), signature));
    CHECK(!key.public_key().verify(as_bytes("Message"), signature));
    CHECK(!other.public_key().verify(as_bytes("message"), signature));
    CHECK(!key.public_key().verify(as_bytes("message"), {}));
    for (std::size_t i = 0; i < signature.size(); ++i) {
      auto flipped = signature;
      flipped[i] ^= 1;
      CHECK(!key.public_key().verify(as_bytes("message"), flipped));
    }
    auto longer = signature;
    longer.push_back(0);
    CHECK(!key.public_key().verify(as_bytes("message"), longer));
  }
}

TEST_CASE("ec key: an encrypted key opens with its passphrase and no other") {
  const auto key = EcPrivateKey::generate(Curve::kP384).value();
  const auto pem = key.to_encrypted_pem(secret("a passphrase")).value();
  CHECK(pem.text().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
  const auto again = EcPrivateKey::from_encrypted_pem(pem.text(), secret("a passphrase")).value();
  CHECK(again.public_key().fingerprint() == key.public_key().fingerprint());
  CHECK(key.public_key().verify(as_bytes("m"), again.sign(as_bytes("m")).value()));
  CHECK(private_code(pem.text(), "another one") == ErrorCode::kKeyPassphrase);
  CHECK(private_code(pem.text(), "") == ErrorCode::kKeyPassphrase);
}

TEST_CASE("ec key: the encryption is scrypt and AES-256, salted anew each time") {
  const auto key = EcPrivateKey::generate(Curve::kP256).value();
  const auto first = key.to_encrypted_pem(secret("a passphrase")).value();
  const auto second = key.to_encrypted_pem(secret("a passphrase")).value();
  CHECK(first.text() != second.text());
  const std::string der = der_hex(first.text());
  CHECK(der.find("06092b06010401da47040b") != der.npos);  // id-scrypt
  CHECK(der.find("02024000020108020108") != der.npos);    // N = 2^14, r = 8, p = 8
  CHECK(der.find("060960864801650304012a") != der.npos);  // aes256-CBC
}

TEST_CASE("ec key: refuses private keys that are not encrypted, or broken") {
  const auto key = EcPrivateKey::generate(Curve::kP256).value();
  const auto secret_pem = key.to_encrypted_pem(secret("a passphrase")).value();
  const std::string pem(secret_pem.text());
  CHECK(private_code(without_encryption_in_its_name(pem)) == ErrorCode::kKeyFormat);
  CHECK(private_code(kPem) == ErrorCode::kPem);
  CHECK(private_code(pem + pem) == ErrorCode::kPem);
  CHECK(private_code("") == ErrorCode::kPem);
  std::string not_pkcs8(kPem);
  for (const auto& [from, to] : {std::pair{"BEGIN PUBLIC KEY", "BEGIN ENCRYPTED PRIVATE KEY"},
                                 std::pair{"END PUBLIC KEY", "END ENCRYPTED PRIVATE KEY"}}) {
    not_pkcs8.replace(not_pkcs8.find(from), std::string_view(from).size(), to);
  }
  CHECK(private_code(not_pkcs8) == ErrorCode::kKeyFormat);
}
