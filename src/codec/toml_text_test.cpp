// SPDX-License-Identifier: Apache-2.0
#include "codec/toml_text.h"

#include <doctest/doctest.h>

#include <string>

namespace mlxguard::codec {
namespace {

TEST_CASE("toml text: characters beyond ascii may stand in strings and comments") {
  for (const char* text : {"", "a = 1\n", "# \u00fc\na = 1", "a = '\u00fc'",
                           "a = \"\\\"\u00fc\" # \u0157\n", "a = '''\n'\u00fc''\n'''\n",
                           "a = \"\"\"\\\"\"\"\u00fc\"\"\"\"\"\n# \u00fc", "'\u00fc' = 1"}) {
    CHECK_MESSAGE(!find_stray_character(text).has_value(), text);
  }
}

TEST_CASE("toml text: elsewhere the line of the first one is told") {
  CHECK(find_stray_character("\u00fc = 1") == 1);
  CHECK(find_stray_character("\u0157") == 1);
  CHECK(find_stray_character("a = 1\nb =\u00a01") == 2);
  CHECK(find_stray_character("a = 'x' \u00fc") == 1);
  CHECK(find_stray_character("a = 'x\n\u00fc'") == 2);  // the string ended with its line
  CHECK(find_stray_character("a = \"x\\\" \u00fc\"\n\n\u00fc") == 3);
  CHECK(find_stray_character("# \u00fc\n\u00fc") == 2);
  CHECK(find_stray_character("a = '\xff'") == 1);
  CHECK(find_stray_character("a = \"\"\"x\\\n  \u00fc\"\"\"") == 2);
  CHECK(toml_in_ascii("a = \"\u00fc\" # x") == std::string("a = \"") + "?" + "?\" # x");
}

}  // namespace
}  // namespace mlxguard::codec
