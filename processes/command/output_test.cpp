// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::cli;

TEST_CASE("output: what could drive a terminal is shown, not obeyed") {
  CHECK(printable("a\x1b[31mb") == "a\\x1b[31mb");
  CHECK(printable("line\nnext\r\t\x7f") == "line\\x0anext\\x0d\\x09\\x7f");
  CHECK(printable("\xc2\x9b"
                  "31m") == "\\xc2\\x9b31m");  // CSI as one C1 character
  CHECK(printable(std::string_view("\0", 1)) == "\\x00");
}

TEST_CASE("output: text of any language stays; bytes that are no text are shown") {
  CHECK(printable("Größe 模型 🙂") == "Größe 模型 🙂");
  CHECK(printable("\xff\xfe") == "\\xff\\xfe");
  CHECK(printable("ü\xff") == "\\xc3\\xbc\\xff");
}

TEST_CASE("output: sizes in decimal units") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(999) == "999 B");
  CHECK(human_bytes(91'618'861) == "91.6 MB");
  CHECK(human_bytes(18'446'744'073'709'551'615u).ends_with(" TB"));
}

TEST_CASE("output: an error as JSON says everything that it knows") {
  const Error error =
      make_error(ErrorCode::kDigestMismatch, "changed").about("a\"b").compared("1", "2");
  CHECK(
      error_json(error) ==
      R"({"error":{"code":"signature.digest_mismatch","message":"changed","subject":"a\"b","expected":"1","actual":"2"}})");
}
