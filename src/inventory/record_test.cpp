// SPDX-License-Identifier: Apache-2.0
#include "inventory/record.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "inventory/files.h"
#include "inventory/metadata.h"

namespace mlxguard::inventory {

TEST_CASE("record: reads paths with commas and quotes, hashes and sizes") {
  const auto rows = parse_record(
      "a/b.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\r\n"
      "\"odd, \"\"name\"\".py\",,\nd.dist-info/RECORD,,\n");
  REQUIRE(rows);
  REQUIRE(rows->size() == 3);
  CHECK((*rows)[0].size == 0u);
  CHECK((*rows)[1].path == "odd, \"name\".py");
  CHECK_FALSE((*rows)[2].size.has_value());
}

TEST_CASE("record: refuses rows of other shapes, paths listed twice and text that is not UTF-8") {
  CHECK(parse_record("a,b\n").error().code == ErrorCode::kDepsRecord);
  CHECK(parse_record("a,b,c,d\n").error().code == ErrorCode::kDepsRecord);
  CHECK(parse_record("\"a,b,1\n").error().code == ErrorCode::kDepsRecord);
  CHECK(parse_record("a,,x1\n").error().code == ErrorCode::kDepsRecord);
  CHECK(parse_record("a,,\na,,\n").error().code == ErrorCode::kDepsRecord);
  CHECK(parse_record("a\xff,,\n").error().code == ErrorCode::kUtf8);
}

TEST_CASE("record: file hashes by sha256 and better, nothing weaker") {
  const auto empty = parse_file_hash("sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
  REQUIRE(empty);
  CHECK(file_hash(crypto::HashAlgorithm::kSha256, {}) ==
        "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
  CHECK(parse_file_hash("md5=1B2M2Y8AsgTpgAmY7PhCfg").error().code == ErrorCode::kDepsRecord);
  CHECK(parse_file_hash("sha256=47DEQpj8").error().code == ErrorCode::kDepsRecord);
  CHECK(parse_file_hash("").error().code == ErrorCode::kDepsRecord);
}

TEST_CASE("record: the content digest does not depend on the installer, and does on every file") {
  const std::vector<RecordRow> wheel = {{"a.py", "sha256=x", 1},
                                        {"p-1.dist-info/METADATA", "sha256=m", 1}};
  std::vector<RecordRow> installed = wheel;
  installed.insert(installed.begin(), {{"../../../bin/tool", "sha256=s", 1},
                                       {"__pycache__/a.pyc", "", std::nullopt},
                                       {"p-1.dist-info/INSTALLER", "sha256=i", 4}});
  CHECK(content_digest(wheel) == content_digest(installed));
  installed[3].hash = "sha256=y";
  CHECK(content_digest(wheel) != content_digest(installed));
}

TEST_CASE("files: paths stay inside") {
  CHECK(join_inside("lib/site-packages", "../../bin/pip") == "bin/pip");
  CHECK(join_inside("lib", "./a//b/../c") == "lib/a/c");
  CHECK(join_inside("lib", "../../etc/passwd").empty());
  CHECK(join_inside("", "/etc/passwd").empty());
  CHECK(join_inside("", "a\\b").empty());
  CHECK(join_inside("", std::string_view("a\0b", 3)).empty());
}

TEST_CASE("files: what is no regular file is refused without waiting for it") {
  CHECK(read_file("/dev/zero", 16).error().code == ErrorCode::kIo);
  CHECK(read_file("/", 16).error().code == ErrorCode::kIo);
  CHECK(read_file("/no/such/file", 16).error().code == ErrorCode::kNotFound);
  CHECK(read_file("/proc/self/status", 4).error().code == ErrorCode::kTooLarge);
}

TEST_CASE("metadata: reads headers until the first empty line, with continuations") {
  const auto metadata = parse_metadata(
      "Metadata-Version: 2.1\nName: Zope.Event\nVersion: 6.2\nLicense: MIT\n"
      "Requires-Dist: setuptools\nREQUIRES-DIST: a ;\n  extra == 'x'\nProvides-Extra: x\n\n"
      "Name: not a header\n");
  REQUIRE(metadata);
  CHECK(metadata->name == "Zope.Event");
  CHECK(metadata->license == "MIT");
  REQUIRE(metadata->requires_dist.size() == 2);
  CHECK(metadata->requires_dist[1] == "a ;\nextra == 'x'");
  CHECK(parse_metadata("Name: a\nVersion: 1").value().version == "1");
}

TEST_CASE("metadata: refuses two names, none, no fields and other encodings") {
  CHECK(parse_metadata("Name: a\nName: b\nVersion: 1\n").error().code == ErrorCode::kDepsFile);
  CHECK(parse_metadata("Version: 1\n").error().code == ErrorCode::kDepsFile);
  CHECK(parse_metadata("Name: a\n").error().code == ErrorCode::kDepsFile);
  CHECK(parse_metadata("nothing\n").error().code == ErrorCode::kDepsFile);
  CHECK(parse_metadata("").error().code == ErrorCode::kDepsFile);
  CHECK(parse_metadata(" folded\n").error().code == ErrorCode::kDepsFile);
  CHECK(parse_metadata("Name: a\nVersion: 1\nSummary: \xe9t\xe9\n").error().code ==
        ErrorCode::kUtf8);
}

}  // namespace mlxguard::inventory
