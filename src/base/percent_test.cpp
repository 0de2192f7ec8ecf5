// SPDX-License-Identifier: Apache-2.0
#include "base/percent.h"

#include <doctest/doctest.h>

using namespace std::string_view_literals;
using mlxguard::percent_decode;
using mlxguard::percent_encode;

TEST_CASE("percent: letters, digits and what is plain here stay, all else is encoded") {
  CHECK(percent_encode("azAZ09-._~", "-._~") == "azAZ09-._~");
  CHECK(percent_encode("a/b c", "/") == "a/b%20c");
  CHECK(percent_encode("a/b%20", "") == "a%2Fb%2520");
  CHECK(percent_encode("\0\x7f\xc3\xa9"sv, "-._~") == "%00%7F%C3%A9");
  CHECK(percent_encode("", "-").empty());
}

TEST_CASE("percent: each escape is one byte, and a broken one is no text") {
  CHECK(percent_decode("a%20b%2f%2F%c3%A4").value() == "a b//\xC3\xA4");
  CHECK(percent_decode("%00").value() == std::string(1, '\0'));
  CHECK(percent_decode("+").value() == "+");
  CHECK(percent_decode("").value().empty());
  for (const char* broken : {"%", "%2", "a%", "%zz", "%2g", "%g2", "%%20", "% 1"}) {
    CAPTURE(broken);
    CHECK(!percent_decode(broken).has_value());
  }
}
