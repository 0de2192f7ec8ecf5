// SPDX-License-Identifier: Apache-2.0
#include "codec/unicode.h"

#include <doctest/doctest.h>

using namespace mlxguard::codec;

TEST_CASE("visible text: what a reader sees stays, what acts on a terminal is escaped") {
  CHECK(visible_text("caf\xc3\xa9 \xe6\x97\xa5", 100) == "caf\xc3\xa9 \xe6\x97\xa5");
  CHECK(visible_text("a\nb\t\x7f\x1b[2J", 100) == "a\\x0ab\\x09\\x7f\\x1b[2J");
  CHECK(visible_text("\xc2\x9b", 100) == "\\xc2\\x9b");                  // a C1 control
  CHECK(visible_text("\xe2\x80\xae", 100) == "\\xe2\\x80\\xae");        // right-to-left override
  CHECK(visible_text("\xed\xa0\x80\xff", 100) == "\\xed\\xa0\\x80\\xff");  // a surrogate; no UTF-8
}

TEST_CASE("visible text: is told from text that is not") {
  CHECK(is_visible_text(""));
  CHECK(is_visible_text("caf\xc3\xa9 | x"));
  for (const char* hidden : {"\n", "\x7f", "a\xc2\x9b", "\xe2\x80\xae", "\xff"}) {
    CHECK_FALSE(is_visible_text(hidden));
    CHECK(is_visible_text(visible_text(hidden, 100)));
  }
}

TEST_CASE("visible text: is cut off between code points") {
  CHECK(visible_text("abcdef", 3) == "abc...");
  CHECK(visible_text("abc", 3) == "abc");
  CHECK(visible_text("ab\xc3\xa9z", 3) == "ab\xc3\xa9...");
}
