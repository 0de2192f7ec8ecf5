// SPDX-License-Identifier: Apache-2.0
#include "validate/text_rules.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::validate;

namespace {

std::optional<ErrorCode> judge(std::string_view text, std::size_t bytes_max = 1000) {
  const auto checked = check_text(text, bytes_max);
  if (checked) return std::nullopt;
  return checked.error().code;
}

}  // namespace

TEST_CASE("text: ordinary writing in any language is allowed") {
  CHECK(!judge("The quick brown fox.").has_value());
  CHECK(!judge("line\nline\r\n\ttab").has_value());
  CHECK(
      !judge("Grüße, 你好, नमस्ते, שלום, 😀👩‍👩‍👧").has_value());
  CHECK(!judge("\xc2\xa0non-breaking").has_value());  // U+00A0 follows the C1 controls
}

TEST_CASE("text: control characters are refused") {
  CHECK(judge(std::string_view("a\0b", 3)) == ErrorCode::kTextInvalid);
  for (int byte = 1; byte < 0x20; ++byte) {
    if (byte == '\t' || byte == '\n' || byte == '\r') continue;
    CHECK(judge(std::string("a") + static_cast<char>(byte)) == ErrorCode::kTextInvalid);
  }
  CHECK(judge("\x7f") == ErrorCode::kTextInvalid);
  for (int byte = 0x80; byte <= 0x9f; ++byte) {
    CHECK(judge(std::string("\xc2") + static_cast<char>(byte)) == ErrorCode::kTextInvalid);
  }
  // The same continuation bytes after another lead byte are letters.
  CHECK(!judge("\xc3\x85").has_value());
}

TEST_CASE("text: bytes that are not UTF-8 are refused") {
  CHECK(judge("\xff") == ErrorCode::kTextInvalid);
  CHECK(judge("\xc0\xaf") == ErrorCode::kTextInvalid);      // overlong
  CHECK(judge("\xed\xa0\x80") == ErrorCode::kTextInvalid);  // lone surrogate
  CHECK(judge("\xf0\x9f\x98") == ErrorCode::kTextInvalid);  // cut short
}

TEST_CASE("text: empty and overlong texts are refused") {
  CHECK(judge("") == ErrorCode::kTextInvalid);
  CHECK(!judge("abc", 3).has_value());
  CHECK(judge("abcd", 3) == ErrorCode::kRequestTooLarge);
}

TEST_CASE("text: a list says which text is wrong, and not what it holds") {
  const TextLimits limits{.texts_max = 3, .text_bytes_max = 100};
  CHECK(check_texts({"a", "b"}, limits).value().texts().size() == 2);
  CHECK(check_texts({}, limits).error().code == ErrorCode::kRequestCount);
  CHECK(check_texts({"a", "b", "c", "d"}, limits).error().code == ErrorCode::kRequestTooLarge);
  const auto wrong = check_texts({"fine", "secret\x01"}, limits);
  CHECK(wrong.error().code == ErrorCode::kTextInvalid);
  CHECK(wrong.error().message.starts_with("text 1: "));
  CHECK(wrong.error().message.find("secret") == std::string::npos);
}
