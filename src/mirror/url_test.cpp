// SPDX-License-Identifier: Apache-2.0
#include "mirror/url.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::mirror;

namespace {
std::string resolved(std::string_view reference) {
  const auto base = parse_url("https://index.example/simple/name/");
  const auto url = resolve_url(*base, reference);
  return url ? url->text() : std::string("[") + std::string(name_of(url.error().code)) + "]";
}
}  // namespace

TEST_CASE("url: an absolute URL is taken apart and put together again") {
  const auto url = parse_url("HTTPS://Host.Example:8443/a/b?c=d#e");
  REQUIRE(url);
  CHECK(url->scheme == "https");
  CHECK(url->host == "host.example");
  CHECK(url->port == 8443);
  CHECK(url->path == "/a/b");
  CHECK(url->query == "c=d");
  CHECK(url->text() == "https://host.example:8443/a/b?c=d");
  CHECK(parse_url("http://[::1]:80/")->text() == "http://[::1]/");
}

TEST_CASE("url: references are resolved as RFC 3986 says") {
  CHECK(resolved("../../files/x.whl") == "https://index.example/files/x.whl");
  CHECK(resolved("x.whl") == "https://index.example/simple/name/x.whl");
  CHECK(resolved("/x/./y/../z") == "https://index.example/x/z");
  CHECK(resolved("//other.example/x") == "https://other.example/x");
  CHECK(resolved("../../../../../x") == "https://index.example/x");
  CHECK(resolved("?a=b") == "https://index.example/simple/name/?a=b");
  CHECK(resolved("a/..") == "https://index.example/simple/name/");
}

TEST_CASE("url: other schemes, credentials and unsafe bytes are refused") {
  for (const std::string_view bad :
       {"file:///etc/passwd", "javascript:alert(1)", "ftp://host/x", "https://user:pw@host/x",
        "https://host\\evil/x", "https://ho st/x", "https:///x", "https://host:0/",
        "https://host:99999/", "https://host:/x y", "http:x", "https://[::1/x", "https://h%6fst/",
        "gopher://127.0.0.1:6379/_x", "http://127.1/", "http://0x7f.1/", "http://2130706433/",
        "http://017.0.0.1/", "http://host.0x1/", "http://127.0.0.1./"}) {
    CAPTURE(bad);
    const auto url = parse_url(bad);
    REQUIRE_FALSE(url);
    CHECK(url.error().code == ErrorCode::kMirrorPage);
  }
  CHECK(resolved("file:///etc/passwd") == "[mirror.page]");
  CHECK(resolved("x\ny") == "[mirror.page]");
  CHECK(resolved(std::string(5000, 'a')) == "[mirror.page]");
}

TEST_CASE("url: the operator's URL may have credentials, which its text never shows") {
  const auto url = parse_url("https://user:secret@host/simple/", Credentials::kAllowed);
  REQUIRE(url);
  CHECK(url->credentials == "user:secret");
  CHECK(url->text() == "https://host/simple/");
  CHECK(resolve_url(*url, "x")->credentials.empty());
}

TEST_CASE("url: percent escapes are decoded once, and broken ones refused") {
  CHECK(*percent_decode("a%2Bb%2b") == "a+b+");
  CHECK(*percent_decode("%252e") == "%2e");
  for (const std::string_view bad : {"%", "%2", "%zz", "a%00b"}) {
    CHECK(percent_decode(bad).error().code == ErrorCode::kMirrorPage);
  }
  CHECK(percent_encode("a+b/c!") == "a%2Bb%2Fc%21");
}
