// SPDX-License-Identifier: Apache-2.0
#include "crypto/pkcs11_uri.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

namespace mlxguard::crypto {
namespace {

const std::string kKey = "pkcs11:token=mlxguard;object=signer";

ErrorCode foreign_code(const std::string& text) {
  const auto read = read_foreign_pkcs11_uri(text);
  REQUIRE_FALSE(read.has_value());
  return read.error().code;
}

TEST_CASE("pkcs11 uri: a PIN inside is refused, and its text is in no message") {
  const auto refused = Pkcs11Uri::parse(kKey + "?module-path=/m.so&pin-value=s3cret");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kTokenUri);
  CHECK(refused.error().message.find("s3cret") == std::string::npos);
  CHECK(refused.error().subject.find("s3cret") == std::string::npos);
}

TEST_CASE("pkcs11 uri: as others write it, the PIN apart from the rest") {
  for (const char* query :
       {"?pin-value=12%2034&module-path=/m.so", "?module-path=/m.so&pin-value=12%2034"}) {
    CAPTURE(query);
    const auto foreign = read_foreign_pkcs11_uri(kKey + query);
    REQUIRE(foreign.has_value());
    CHECK(foreign->text == kKey + "?module-path=/m.so");
    REQUIRE(foreign->pin.has_value());
    CHECK(foreign->pin->text() == "12 34");
  }
  const auto plain = read_foreign_pkcs11_uri(kKey + "?module-path=/m.so");
  REQUIRE(plain.has_value());
  CHECK(plain->text == kKey + "?module-path=/m.so");
  CHECK_FALSE(plain->pin.has_value());
  CHECK(foreign_code(kKey + "?pin-value=1&pin-value=2") == ErrorCode::kTokenUri);
  CHECK(foreign_code(kKey + "?pin-value=%zz") == ErrorCode::kTokenUri);
  CHECK(foreign_code(std::string(10'000, 'x')) == ErrorCode::kTokenUri);
  // What else is wrong stays so, for the reader that decides.
  for (const std::string& text :
       {kKey + "?module-path=/a.so&module-path=/b.so", kKey + "?&", kKey, std::string("x")}) {
    CAPTURE(text);
    const auto same = read_foreign_pkcs11_uri(text);
    REQUIRE(same.has_value());
    CHECK_FALSE(Pkcs11Uri::parse(same->text).has_value());
  }
}

TEST_CASE("pkcs11 uri: a module's name is looked up in the system's folders and nowhere else") {
  for (const char* name : {"", "..%2Fx", "/tmp/x", "../x", "no-such-module"}) {
    CAPTURE(name);
    CHECK(foreign_code(kKey + "?module-name=" + name) == ErrorCode::kTokenUri);
  }
  for (const char* name : {"softhsm2", "libsofthsm2"}) {
    const auto foreign = read_foreign_pkcs11_uri(kKey + "?module-name=" + name);
    if (!foreign) continue;  // SoftHSM2 is not installed here
    const std::string path = foreign->text.substr(foreign->text.find('=', kKey.size()) + 1);
    CHECK(path.starts_with("/usr/lib"));
    CHECK(path.ends_with("/libsofthsm2.so"));
    CHECK(std::filesystem::is_regular_file(path));
    CHECK(Pkcs11Uri::parse(foreign->text).has_value());
  }
}

}  // namespace
}  // namespace mlxguard::crypto
