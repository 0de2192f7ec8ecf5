// SPDX-License-Identifier: Apache-2.0
#include "codec/text.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::codec;

TEST_CASE("base64: the vectors of RFC 4648 both ways") {
  const std::pair<std::string_view, std::string_view> vectors[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    CHECK(to_base64(as_bytes(plain)) == encoded);
    CHECK(as_text(from_base64(encoded).value()) == plain);
  }
}

TEST_CASE("base64: refuses every other spelling of the same bytes") {
  for (const std::string_view text : {"Zg", "Zg=", "Zh==", "Zm9=", "Z g==", "Zg==\n",
                                      "Zg==Zg==", "Zm-v", "====", "=Zg=", "Zg=a"}) {
    INFO(std::string(text));
    CHECK(from_base64(text).error().code == ErrorCode::kBase64);
  }
}

TEST_CASE("hex: lowercase pairs only") {
  CHECK(to_hex(as_bytes("\x01\xff")) == "01ff");
  CHECK(from_hex("01ff").value() == ByteVector{1, 255});
  for (const std::string_view text : {"0", "0G", "0A", " 0", "0x"}) {
    CHECK(from_hex(text).error().code == ErrorCode::kHex);
  }
}

TEST_CASE("utf-8: refuses overlong forms, surrogates and lone bytes") {
  CHECK(is_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"));
  CHECK(!is_utf8("\xc0\xaf"));
  CHECK(!is_utf8("\xed\xa0\x80"));
  CHECK(!is_utf8("\x80"));
  CHECK(!is_utf8("\xf4\x90\x80\x80"));
}

TEST_CASE("rfc 3339: there and back, and nonsense refused") {
  CHECK(to_rfc3339(0) == "1970-01-01T00:00:00.000Z");
  CHECK(from_rfc3339(to_rfc3339(1'764'000'123'456)).value() == 1'764'000'123'456);
  CHECK(from_rfc3339("2026-01-31").value() == 1'769'817'600'000);
  CHECK(from_rfc3339("2026-01-31T00:00:01.5Z").value() == 1'769'817'601'500);
  for (const std::string_view text : {"2026-02-30", "2026-1-1", "2026-01-31T25:00:00Z", "yesterday",
                                      "2026-01-31T00:00:00", "2026-01-31T00:00:00.Z"}) {
    INFO(std::string(text));
    CHECK(from_rfc3339(text).error().code == ErrorCode::kJsonSyntax);
  }
}
