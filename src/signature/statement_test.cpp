// SPDX-License-Identifier: Apache-2.0
#include "signature/statement.h"

#include <doctest/doctest.h>

#include "base/limits.h"
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
  CHECK(code_of_change("signature/v1.0", "signature/v2.0") == ErrorCode::kPredicateType);
  CHECK(code_of_change("signature/v1.0", "Digests/v0.1") == ErrorCode::kLegacyFormat);
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
  CHECK(code_of_change(R"("method":"files")", R"("method":"blocks")") ==
        ErrorCode::kMethodUnsupported);
  CHECK(code_of_change(R"("method":"files")", R"("method":"shards")") == ErrorCode::kBundleField);
  CHECK(code_of_change(R"("hash_type":"sha256")", R"("hash_type":"sha384")") ==
        ErrorCode::kHashUnsupported);
  // Every digest is of the announced kind, also where the length would fit.
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

// The same two files in shards of 4 bytes; digests of nothing in particular, since nothing is
// hashed here.
std::string shards_of(const std::string& size, const std::vector<std::string>& names,
                      const std::string& algorithm = "sha256") {
  std::string resources;
  std::vector<artifact::FileDigest> digests;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto digest = crypto::sha256(as_bytes(std::to_string(i)));
    digests.push_back({names[i], 0, {digest.begin(), digest.end()}});
    resources += std::string(i > 0 ? "," : "") + R"({"name":")" + names[i] + R"(","algorithm":")" +
                 algorithm + R"(","digest":")" + codec::to_hex(digest) + "\"}";
  }
  return replaced(statement_of(root_digest_of(digests), resources), R"("method":"files")",
                  R"("method":"shards","shard_size":)" + size);
}

TEST_CASE("statement: shards are read with every spelling of their size, and written back") {
  for (const char* size : {"4", "4.0", "4e0", "0.4e1"}) {
    CAPTURE(size);
    auto statement = parse_statement(shards_of(size, {"a.txt:0:4", "a.txt:4:6", "b:1:2:0:3"}));
    REQUIRE(statement.has_value());
    CHECK(statement->shard_bytes == 4);
    REQUIRE(statement->resources.size() == 3);
    CHECK(statement->resources[1].name == "a.txt");
    CHECK(statement->resources[1].start_bytes == 4);
    CHECK(statement->resources[1].size_bytes == 2);
    CHECK(statement->resources[2].name == "b:1:2");
    auto again = parse_statement(write_statement(*statement));
    REQUIRE(again.has_value());
    CHECK(again->root_digest == statement->root_digest);
    CHECK(again->shard_bytes == 4);
  }
  auto large = parse_statement(shards_of("1e+09", {"a:0:1000000000", "a:1000000000:1000000001"}));
  REQUIRE(large.has_value());
  CHECK(large->shard_bytes == 1'000'000'000);
  for (const char* size : {"0", "-4", "0.5", "4.5", "\"4\"", "null", "1e300", "true", "[4]"}) {
    CAPTURE(size);
    CHECK(code_of(shards_of(size, {"a.txt:0:4"})) == ErrorCode::kBundleField);
  }
}

TEST_CASE("statement: shards have no unknown members either, and a list of ignored paths an end") {
  const std::string shards = shards_of("4", {"a.txt:0:4"});
  CHECK(code_of(replaced(shards, R"("method":"shards")", R"("x":1,"method":"shards")")) ==
        ErrorCode::kBundleField);
  const auto with_ignored = [](std::size_t count) {
    std::string paths;
    for (std::size_t i = 0; i < count; ++i) paths += R"("i)" + std::to_string(i) + "\",";
    return replaced(kText, R"([".git",)", "[" + paths + R"(".git",)");
  };
  CHECK(parse_statement(with_ignored(limits::kIgnoredPathsMax - 4)).has_value());
  CHECK(code_of(with_ignored(limits::kIgnoredPathsMax - 3)) == ErrorCode::kBundleField);
}

TEST_CASE("statement: the algorithm of a shard may name its size, and no other one") {
  CHECK(parse_statement(shards_of("4", {"a:0:4"}, "sha256-sharded-4")).has_value());
  CHECK(parse_statement(shards_of("4.0", {"a:0:4"}, "sha256-sharded-4")).has_value());
  CHECK(code_of(shards_of("4", {"a:0:4"}, "sha256-sharded-5")) == ErrorCode::kHashUnsupported);
  CHECK(code_of(shards_of("4", {"a:0:4"}, "sha256-sharded-4.0")) == ErrorCode::kHashUnsupported);
  CHECK(code_of_change(R"("algorithm":"sha256")", R"("algorithm":"sha256-sharded-0")") ==
        ErrorCode::kHashUnsupported);
}

TEST_CASE(
    "statement: shards of a file leave no gap, do not overlap, and are of the announced size") {
  using Names = std::vector<std::string>;
  for (const Names& names :
       {Names{"a:4:6"}, Names{"a:0:4", "a:5:6"}, Names{"a:0:4", "a:3:6"}, Names{"a:0:3", "a:3:6"},
        Names{"a:0:5"}, Names{"a:0:4", "a:8:12"}, Names{"a:0:0", "a:0:4"}, Names{"a:0:4", "a:4:4"},
        Names{"a"}, Names{"a:0"}, Names{":0"}, Names{"a:00:4"}, Names{"a:0:04"}, Names{"a:4:0"},
        Names{"a:-0:4"}, Names{"a:0:+4"}, Names{"a:0:4 "}, Names{"a:0:99999999999999999999"},
        Names{"a:0x0:4"}}) {
    CAPTURE(names.front());
    CHECK(code_of(shards_of("4", names)) == ErrorCode::kShard);
  }
  CHECK(code_of(shards_of("4", {"a:0:4", "a:0:4"})) == ErrorCode::kResourceDuplicate);
  CHECK(code_of(shards_of("4", {":0:4"})) == ErrorCode::kResourceName);
  CHECK(code_of(shards_of("4", {"../a:0:4"})) == ErrorCode::kResourceName);
  CHECK(code_of(shards_of("4", {".:0:4", "a:0:4"})) == ErrorCode::kResourceName);
  CHECK(code_of(shards_of("4", {".git/a:0:4"})) == ErrorCode::kIgnoredRead);
  CHECK(parse_statement(shards_of("4", {".:0:4", ".:4:5"})).has_value());
  CHECK(parse_statement(shards_of("4", {"empty:0:0"})).has_value());
  CHECK(parse_statement(shards_of("4", {"a:4:6", "a:0:4"})).has_value());  // in any order
}

TEST_CASE(
    "statement: both orders of the tools are offered, and they differ where names are awkward") {
  const auto file = [](const std::string& name, std::uint64_t start, std::uint64_t size) {
    const auto digest = crypto::sha256(as_bytes(name + std::to_string(start)));
    return artifact::FileDigest{name, size, {digest.begin(), digest.end()}, start};
  };
  const auto plain = root_digests_of({file("b", 0, 0), file("a", 0, 0)}, 0);
  CHECK(plain.by_name == plain.by_component);
  const std::vector<artifact::FileDigest> awkward{file("a/b", 0, 0), file("a-b", 0, 0)};
  const auto names = root_digests_of(awkward, 0);
  CHECK(names.by_component == root_digest_of(awkward));
  CHECK(names.by_name == root_digest_of({awkward[1], awkward[0]}));
  std::vector<artifact::FileDigest> shards;
  for (std::uint64_t i = 0; i < 12; ++i) shards.push_back(file("a", i * 4, 4));
  const auto many = root_digests_of(shards, 4);
  CHECK(many.by_component == root_digest_of(shards));
  CHECK(many.by_name != many.by_component);  // "a:12:16" stands before "a:4:8"
  sort_by_resource_name(shards, 4);
  CHECK(shards[1].start_bytes == 12);
}

TEST_CASE("statement: the form before 1.0 is read only where it is allowed") {
  const std::string legacy =
      R"({"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a.txt","digest":{"sha256":")" +
      kHello + R"("}},{"name":"b.txt","digest":{"sha256":")" + kWorld +
      R"("}}],"predicateType":"https://model_signing/Digests/v0.1","predicate":{"unused":"x"}})";
  CHECK(code_of(legacy) == ErrorCode::kLegacyFormat);
  const StatementOptions allowed{LegacyStatements::kAllowed};
  auto statement = parse_statement(legacy, allowed);
  REQUIRE(statement.has_value());
  CHECK(statement->resources.size() == 2);
  CHECK(statement->root_digest == kRoot);
  CHECK(statement->ignored_paths == default_ignored_paths());
  const auto code_of_legacy = [&](std::string_view from, std::string_view to) {
    auto refused = parse_statement(replaced(legacy, from, to), allowed);
    REQUIRE_FALSE(refused.has_value());
    return refused.error().code;
  };
  CHECK(code_of_legacy("b.txt", "a.txt") == ErrorCode::kResourceDuplicate);
  CHECK(code_of_legacy("b.txt", "../b") == ErrorCode::kResourceName);
  CHECK(code_of_legacy("b.txt", ".git/b") == ErrorCode::kIgnoredRead);
  CHECK(code_of_legacy("b.txt", ".") == ErrorCode::kResourceName);
  const std::size_t list = legacy.find("[{");
  CHECK(code_of_legacy(legacy.substr(list, legacy.find("}}]") + 3 - list), "[]") ==
        ErrorCode::kNoResources);
  CHECK(code_of_legacy("unused", "used") == ErrorCode::kBundleField);
  CHECK(code_of_legacy(R"({"sha256":")" + kHello, R"({"sha512":")" + kHello) ==
        ErrorCode::kBundleField);
  CHECK(parse_statement(kText, allowed).has_value());
}

}  // namespace
}  // namespace mlxguard::signature
