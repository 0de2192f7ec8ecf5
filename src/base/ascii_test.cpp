// SPDX-License-Identifier: Apache-2.0
#include "base/ascii.h"

#include <doctest/doctest.h>

#include <vector>

using namespace mlxguard;

TEST_CASE("ascii: only A to Z change, other bytes stay") {
  CHECK(ascii_lower(std::string_view("AZaz09@[\xC3\x84")) == "azaz09@[\xC3\x84");
  CHECK(equals_ignoring_case("PyPI", "pypi"));
  CHECK(!equals_ignoring_case("pypi", "pypi "));
  // '@' and '`' differ by the same bit as 'A' and 'a'.
  CHECK(!equals_ignoring_case("@", "`"));
}

TEST_CASE("ascii: the value of a hexadecimal digit") {
  CHECK(hex_digit_value('0') == 0u);
  CHECK(hex_digit_value('9') == 9u);
  CHECK(hex_digit_value('a') == 10u);
  CHECK(hex_digit_value('F') == 15u);
  for (const char c : {'/', ':', '@', 'G', '`', 'g', '\0', '\xB0'}) CHECK(!hex_digit_value(c));
}

TEST_CASE("ascii: texts in one line") {
  CHECK(joined(std::vector<std::string>{}) == "");
  CHECK(joined(std::vector<std::string>{"a"}) == "a");
  CHECK(joined(std::vector<std::string>{"", "b", ""}) == ", b, ");
  CHECK(joined(std::vector<std::string_view>{"a", "b"}, " or ") == "a or b");
}
