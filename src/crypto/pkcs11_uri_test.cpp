// SPDX-License-Identifier: Apache-2.0
#include "crypto/pkcs11_uri.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "base/limits.h"

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
  CHECK(refused.error().message == "a PIN inside of a PKCS#11 URI: others can read it there");
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

TEST_CASE("pkcs11 uri: every attribute that was read is written again") {
  const std::string text =
      "pkcs11:token=t%20%3B;manufacturer=m;serial=s;model=o;slot-id=7;id=%00%FFa;object=k%3F"
      "?module-path=/usr/lib/m%20.so&pin-source=file:/etc/pin";
  const auto uri = Pkcs11Uri::parse(text);
  REQUIRE(uri.has_value());
  CHECK(uri->slot_id == 7);
  CHECK(uri->id == std::vector<std::uint8_t>{0, 0xff, 'a'});
  CHECK(uri->text() == text);
}

TEST_CASE("pkcs11 uri: a PIN's file in each of its spellings, and back") {
  const auto file_of = [](const std::string& source) {
    const auto uri = Pkcs11Uri::parse(kKey + "?module-path=/m.so&pin-source=" + source);
    return uri ? uri->pin_file.value_or("none") : "refused: " + uri.error().message;
  };
  CHECK(file_of("/etc/pin") == "/etc/pin");
  CHECK(file_of("file:/etc/pin") == "/etc/pin");
  CHECK(file_of("file:///etc/pin") == "/etc/pin");
  CHECK(file_of("file://host/etc/pin") == "refused: a file of another host as pin-source");
  CHECK(file_of("etc/pin") == "refused: expected a file with an absolute path as pin-source");
  for (const char* source : {"/etc/pin", "//etc/pin", "///etc/pin", "file:////etc/pin"}) {
    CAPTURE(source);
    const auto uri = Pkcs11Uri::parse(kKey + "?module-path=/m.so&pin-source=" + source);
    REQUIRE(uri.has_value());
    const auto again = Pkcs11Uri::parse(uri->text());
    REQUIRE(again.has_value());
    CHECK(again->pin_file == uri->pin_file);
  }
}

TEST_CASE(
    "pkcs11 uri: what could name another key, or end a text early, is refused for its reason") {
  const struct {
    const char* uri;
    const char* message;
  } cases[] = {
      {"pkcs12:object=k?module-path=/m.so", "expected a PKCS#11 URI"},
      {"pkcs11:token=t?module-path=/m.so", "expected a PKCS#11 URI that names a key: object or id"},
      {"pkcs11:object=k", "expected a PKCS#11 URI that names the token's module: module-path"},
      {"pkcs11:object=k;object=l?module-path=/m.so", "a PKCS#11 URI names an attribute twice"},
      {"pkcs11:object=k;colour=red?module-path=/m.so",
       "an attribute of a PKCS#11 URI that is not known here"},
      {"pkcs11:object=k?module-path=/m.so&colour=red",
       "an attribute of a PKCS#11 URI that is not known here"},
      {"pkcs11:object=k%00x?module-path=/m.so", "a NUL in a PKCS#11 URI"},
      {"pkcs11:object=k?module-path=/m.so%00x", "a NUL in a PKCS#11 URI"},
      {"pkcs11:object=k%4?module-path=/m.so",
       "a '%' in a PKCS#11 URI that no two hex digits follow"},
      {"pkcs11:object=k%g0?module-path=/m.so",
       "a '%' in a PKCS#11 URI that no two hex digits follow"},
      {"pkcs11:object=k l?module-path=/m.so",
       "a character in a PKCS#11 URI that has to be written as %XX"},
      {"pkcs11:id=?module-path=/m.so", "an empty id in a PKCS#11 URI"},
      {"pkcs11:object=k;slot-id=1x?module-path=/m.so", "expected a number as slot-id"},
      {"pkcs11:object=k;type=cert?module-path=/m.so",
       "expected the type \"private\" in a PKCS#11 URI"},
      {"pkcs11:object=k?module-path=m.so", "expected an absolute module-path in a PKCS#11 URI"},
      {"pkcs11:object?module-path=/m.so", "expected NAME=VALUE in a PKCS#11 URI"},
      {"pkcs11:=k?module-path=/m.so", "expected NAME=VALUE in a PKCS#11 URI"},
  };
  for (const auto& [uri, message] : cases) {
    CAPTURE(uri);
    const auto refused = Pkcs11Uri::parse(uri);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::kTokenUri);
    CHECK(refused.error().message == message);
  }
  const std::string longest(limits::kTokenUriBytesMax, 'k');
  CHECK(Pkcs11Uri::parse("pkcs11:object=" + longest).error().message ==
        "a PKCS#11 URI that is too long");
}

}  // namespace
}  // namespace mlxguard::crypto
