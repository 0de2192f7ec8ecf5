// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>

#include "crypto/digest.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "crypto/secret.h"

using namespace mlxguard;
using namespace mlxguard::crypto;

namespace {
std::string hex(Bytes bytes) {
  std::string out;
  for (const auto byte : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}
}  // namespace

TEST_CASE("sha-256: the vector of FIPS 180, whole and in parts") {
  const std::string expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  CHECK(hex(sha256(as_bytes("abc"))) == expected);
  CHECK(hex(sha256({as_bytes("a"), as_bytes("bc")})) == expected);
}

TEST_CASE("hmac-sha-256: the second vector of RFC 4231") {
  CHECK(hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST_CASE("constant-time compare: equal only when equal") {
  CHECK(equal_constant_time(as_bytes("abc"), as_bytes("abc")));
  CHECK(!equal_constant_time(as_bytes("abc"), as_bytes("abd")));
  CHECK(!equal_constant_time(as_bytes("abc"), as_bytes("ab")));
}

TEST_CASE("ed25519: the first vector of RFC 8032; another message or key does not verify") {
  const std::uint8_t seed[32] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
                                 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
                                 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
  const auto key = Ed25519Key::from_seed(seed).value();
  CHECK(hex(key.public_key()) ==
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  const auto signature = key.sign({});
  CHECK(hex(signature).substr(0, 16) == "e5564300c360ac72");
  CHECK(ed25519_verify(key.public_key(), {}, signature));
  CHECK(!ed25519_verify(key.public_key(), as_bytes("x"), signature));
  CHECK(!ed25519_verify(key.public_key(), {}, Bytes(signature).first(63)));
  SystemRandom random;
  CHECK(!ed25519_verify(Ed25519Key::generate(random).public_key(), {}, signature));
  CHECK(Ed25519Key::from_seed(as_bytes("short")).error().code == ErrorCode::kKeyFormat);
}

TEST_CASE("secret: keeps its bytes through moves and shrinking") {
  Secret secret = Secret::copy_of(as_bytes("passphrase\n"));
  secret.shrink(10);
  const Secret moved = std::move(secret);
  CHECK(moved.text() == "passphrase");
}
