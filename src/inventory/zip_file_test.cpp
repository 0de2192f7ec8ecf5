// SPDX-License-Identifier: Apache-2.0
#include "inventory/zip_file.h"

#include <doctest/doctest.h>

#include "inventory/test_zip.h"

namespace mlxguard::inventory {
namespace {

ErrorCode refusal(const std::string& bytes) {
  const auto zip = ZipFile::open(as_bytes(bytes));
  return zip ? ErrorCode::kInternal : zip.error().code;
}

}  // namespace

TEST_CASE("zip: reads stored entries and finds them by name") {
  const std::string bytes = test::zip({{"a/b.txt", "hello"}, {"c", ""}});
  const auto zip = ZipFile::open(as_bytes(bytes));
  REQUIRE(zip);
  REQUIRE(zip->entries().size() == 2);
  REQUIRE(zip->find("a/b.txt"));
  CHECK(zip->read(*zip->find("a/b.txt"), 100).value() == "hello");
  CHECK(zip->read(*zip->find("a/b.txt"), 4).error().code == ErrorCode::kTooLarge);
  CHECK(zip->find("d") == nullptr);
}

TEST_CASE("zip: refuses names that lead out, two of one name, links and other bytes") {
  for (const std::string name : {"../a", "/etc/passwd", "a/../../b", "a\\b", "./a", "a//b", ""}) {
    CAPTURE(name);
    CHECK(refusal(test::zip({{name, "x"}})) == ErrorCode::kWheel);
  }
  CHECK(refusal(test::zip({{"a", "1"}, {"a", "2"}})) == ErrorCode::kWheel);
  CHECK(refusal(test::zip({{"a", "/etc/passwd", test::kLink}})) == ErrorCode::kWheel);
  CHECK(refusal("PK no zip") == ErrorCode::kWheel);
  CHECK(refusal("") == ErrorCode::kWheel);
}

TEST_CASE("zip: a damaged entry is found by its checksum") {
  std::string bytes = test::zip({{"a", "hello"}});
  bytes[bytes.find("hello")] = 'j';
  const auto zip = ZipFile::open(as_bytes(bytes));
  REQUIRE(zip);
  CHECK(zip->read(zip->entries()[0], 100).error().code == ErrorCode::kWheel);
}

TEST_CASE("zip: refuses sizes that no archive of this size can have") {
  std::string bytes = test::zip({{"a", "hello"}});
  test::set_unpacked_bytes(bytes, 0xfffffff0u);
  const auto zip = ZipFile::open(as_bytes(bytes));
  REQUIRE_FALSE(zip);
  CHECK((zip.error().code == ErrorCode::kTooLarge || zip.error().code == ErrorCode::kWheel));
}

TEST_CASE("zip: every truncation ends in an answer") {
  const std::string bytes = test::zip({{"a/b.txt", "hello"}, {"c", "d"}});
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK_FALSE(ZipFile::open(as_bytes(bytes).first(length)));
  }
}

}  // namespace mlxguard::inventory
