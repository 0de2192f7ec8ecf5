// SPDX-License-Identifier: Apache-2.0
#include "signature/statement.h"

#include <doctest/doctest.h>

#include "codec/text.h"
#include "signature/test_support.h"

namespace mlxguard::signature {
namespace {

using test::replaced;

// The worked example of the specification's two files: "hello\n" and "world\n".
const std::string kHello = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const std::string kWorld = "e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317";
const std::string kRoot = "96cb8058ed58b58f8fc0ad459bacf81108599b403e91674460ccb089f8ebb9db";

std::string resource(const std::string& name, const std::string& digest) {
  return R"({"name":")" + name + R"(","algorithm":"sha256","digest":")" + digest + "\"}";
}

std::string statement_of(const std::string& root, const std::string& resources) {
  return R"({"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"w","digest":{"sha256":")" +
         root +
         R"("}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{)"
         R"("serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false,)"
         R"("ignore_paths":[".git",".gitignore",".gitattributes",".github"]},"resources":[)" +
         resources + "]}}";
}

const std::string kText =
    statement_of(kRoot, resource("a.txt", kHello) + "," + resource("b.txt", kWorld));

ErrorCode code_of(const std::string& text) {
  auto statement = parse_statement(text);
  REQUIRE_FALSE(statement.has_value());
  return statement.error().code;
}

ErrorCode code_of_change(std::string_view from, std::string_view to) {
  return code_of(replaced(kText, from, to));
}

/// A statement that is right in everything but this name.
ErrorCode code_of_name(const std::string& name) {
  auto digest = codec::from_hex(kHello);
  REQUIRE(digest.has_value());
  return code_of(statement_of(root_digest_of({{name, 0, *digest}}), resource(name, kHello)));
}

TEST_CASE("statement: the worked example reads and writes, with its known root digest") {
  auto statement = parse_statement(kText);
  REQUIRE(statement.has_value());
  CHECK(statement->root_digest == kRoot);
  CHECK(statement->subject_name == "w");
  REQUIRE(statement->resources.size() == 2);
  CHECK(statement->resources[1].name == "b.txt");
  CHECK(codec::to_hex(statement->resources[1].digest) == kWorld);
  statement->ignored_paths = default_ignored_paths();
  CHECK(write_statement(*statement) == kText);
}

TEST_CASE("statement: the root digest is over the order listed, and recomputed") {
  const std::string swapped =
      statement_of(kRoot, resource("b.txt", kWorld) + "," + resource("a.txt", kHello));
  CHECK(code_of(swapped) == ErrorCode::kRootDigest);
  CHECK(code_of_change(kRoot, std::string(64, '0')) == ErrorCode::kRootDigest);
  auto error = parse_statement(replaced(kText, kRoot, std::string(64, '0')));
  CHECK(error.error().expected == kRoot);
  CHECK(error.error().actual == std::string(64, '0'));
}

TEST_CASE("statement: another predicate or statement type is not a model signature") {
  CHECK(code_of_change("signature/v1.0", "Digests/v0.1") == ErrorCode::kPredicateType);
  CHECK(code_of_change("Statement/v1", "Statement/v0.1") == ErrorCode::kBundleField);
}

TEST_CASE("statement: refuses unknown, missing and malformed members") {
  CHECK(code_of("{") == ErrorCode::kBundleField);
  CHECK(code_of("[]") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"({"_type")", R"({"x":1,"_type")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"({"serialization")", R"({"x":1,"serialization")") ==
        ErrorCode::kBundleField);
  CHECK(code_of_change(R"({"method")", R"({"shard_size":3,"method")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("allow_symlinks":false,)", "") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("allow_symlinks":false)", R"("allow_symlinks":"no")") ==
        ErrorCode::kBundleField);
  CHECK(code_of_change(R"([".git",)", R"([7,)") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"({"sha256")", R"({"sha512")") == ErrorCode::kBundleField);
  CHECK(code_of_change(kHello, kHello.substr(2)) == ErrorCode::kBundleField);
  CHECK(code_of_change("5891b5", "5891B5") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("subject":[)", R"("subject":[{"name":"v","digest":{"sha256":"00"}},)") ==
        ErrorCode::kBundleField);
  CHECK(code_of_change(R"("name":"a.txt")", R"("name":"a.txt","name":"b.txt")") ==
        ErrorCode::kBundleField);
}

TEST_CASE("statement: unknown fields of a resource are ignored, as the specification says") {
  CHECK(parse_statement(replaced(kText, R"({"name":"a.txt")", R"({"uri":"x","name":"a.txt")"))
            .has_value());
}

TEST_CASE("statement: refuses other methods and digests") {
  CHECK(code_of_change(R"("method":"files")", R"("method":"shards")") ==
        ErrorCode::kMethodUnsupported);
  CHECK(code_of_change(R"("hash_type":"sha256")", R"("hash_type":"blake3")") ==
        ErrorCode::kHashUnsupported);
  CHECK(code_of_change(R"("algorithm":"sha256")", R"("algorithm":"blake2b")") ==
        ErrorCode::kHashUnsupported);
}

TEST_CASE("statement: refuses names that leave the model or can be read in two ways") {
  for (const char* name : {"/a", "../a", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/", "..", "",
                           "a\\u0000b", "a\\nb", "a\\u007f"}) {
    CAPTURE(name);
    CHECK(code_of_name(name) == ErrorCode::kResourceName);
  }
  CHECK_FALSE(is_resource_name("a\xff"));
  CHECK_FALSE(is_resource_name(std::string(5000, 'a')));
  for (const char* name : {"a", "a b", "a:b", "\"a\"", "ü/é", "..a", "a..", "a/.b", "."}) {
    CAPTURE(name);
    CHECK(is_resource_name(name));
  }
}

TEST_CASE("statement: refuses two files of one name, none at all, and '.' beside another") {
  const std::string a = resource("a", kHello);
  CHECK(code_of(statement_of(kRoot, a + "," + a)) == ErrorCode::kResourceDuplicate);
  CHECK(code_of(statement_of(kRoot, "")) == ErrorCode::kNoResources);
  CHECK(code_of(statement_of(kRoot, resource(".", kHello) + "," + a)) == ErrorCode::kResourceName);
}

TEST_CASE("statement: refuses a signed file under an ignored path") {
  for (const char* name : {".git", ".git/config", ".github/a/b"}) {
    CAPTURE(name);
    CHECK(code_of_name(name) == ErrorCode::kIgnoredRead);
  }
  CHECK(code_of(replaced(kText, R"([".git",)", R"(["a.txt",)")) == ErrorCode::kIgnoredRead);
  auto digest = codec::from_hex(kHello);
  REQUIRE(digest.has_value());
  for (const char* name : {"a/.git", ".gitmodules", ".git2/a"}) {
    CAPTURE(name);
    CHECK(
        parse_statement(statement_of(root_digest_of({{name, 0, *digest}}), resource(name, kHello)))
            .has_value());
  }
}

TEST_CASE(
    "statement: without recorded paths the defaults are ignored; paths outside match nothing") {
  auto without = parse_statement(
      replaced(kText, R"(,"ignore_paths":[".git",".gitignore",".gitattributes",".github"])", ""));
  REQUIRE(without.has_value());
  CHECK(without->ignored_paths == default_ignored_paths());
  auto outside = parse_statement(replaced(kText, R"([".git",)", R"(["../x","/x",".","",)"));
  REQUIRE(outside.has_value());
  for (const char* path : {"../x", "/x", ".", ""}) {
    CHECK(std::find(outside->ignored_paths.begin(), outside->ignored_paths.end(), path) ==
          outside->ignored_paths.end());
  }
}

}  // namespace
}  // namespace mlxguard::signature
