// SPDX-License-Identifier: Apache-2.0
#include "engine/tokenizer.h"

#include <doctest/doctest.h>

#include "engine/tiny_bert.h"

using namespace mlxguard;
using engine::Tokenizer;
using Ids = std::vector<std::uint32_t>;

namespace {

Tokenizer tiny() {
  auto tokenizer = Tokenizer::parse(as_bytes(engine::test::kTinyTokenizer));
  REQUIRE(tokenizer.has_value());
  return std::move(tokenizer).value();
}

}  // namespace

TEST_CASE("tokenizer: encodes with special tokens, without the file's own truncation and padding") {
  const auto tokenizer = tiny();
  CHECK(tokenizer.vocabulary_size() == 8);
  const auto tokens = tokenizer.encode("red green blue red red red red", 64);
  REQUIRE(tokens.has_value());
  CHECK(tokens->ids == Ids{1, 4, 5, 6, 4, 4, 4, 4, 2});
  CHECK(tokens->count_before_truncation == 9);
  CHECK(tokenizer.encode("unheard of", 64)->ids == Ids{1, 3, 3, 2});
}

TEST_CASE("tokenizer: cuts a long text before the special tokens and tells how long it was") {
  const auto tokenizer = tiny();
  const auto tokens = tokenizer.encode("red green blue red red", 4);
  REQUIRE(tokens.has_value());
  CHECK(tokens->ids == Ids{1, 4, 5, 2});
  CHECK(tokens->count_before_truncation == 7);
  CHECK(tokenizer.encode("red", 2)->ids == Ids{1, 2});
  CHECK(tokenizer.encode("red", 3)->count_before_truncation == 3);
}

TEST_CASE("tokenizer: an empty text is its special tokens") {
  const auto tokenizer = tiny();
  CHECK(tokenizer.encode("", 64)->ids == Ids{1, 2});
  CHECK(tokenizer.encode(std::string_view(), 64)->ids == Ids{1, 2});
}

TEST_CASE("tokenizer: refuses text that is not UTF-8") {
  const auto tokenizer = tiny();
  for (const std::string text : {"\xff", "red \xc3", "\xed\xa0\x80", "\xc0\x80"}) {
    const auto tokens = tokenizer.encode(text, 64);
    REQUIRE(!tokens.has_value());
    CHECK(tokens.error().code == ErrorCode::kTextInvalid);
  }
}

TEST_CASE("tokenizer: refuses a bound without room for the special tokens") {
  const auto tokens = tiny().encode("red", 1);
  REQUIRE(!tokens.has_value());
  CHECK(tokens.error().code == ErrorCode::kTokenizer);
}

TEST_CASE("tokenizer: refuses a file that is no tokenizer") {
  for (const std::string text : {"", "{}", "null", "[1,2]", "{\"model\":{\"type\":\"Nothing\"}}"}) {
    CAPTURE(text);
    const auto tokenizer = Tokenizer::parse(as_bytes(text));
    REQUIRE(!tokenizer.has_value());
    CHECK(tokenizer.error().code == ErrorCode::kTokenizer);
    CHECK(!tokenizer.error().message.empty());
  }
}
