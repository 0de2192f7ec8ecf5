// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "mirror/page_entries.h"
#include "mirror/project_page.h"

using namespace mlxguard;
using namespace mlxguard::mirror;

namespace {

const std::string kDigest(64, 'a');
const Url kBase = *parse_url("https://index.example/simple/some-name/");

Result<ProjectPage> json(std::string files) {
  return parse_json_page(
      "some-name", kBase,
      R"({"meta":{"api-version":"1.1"},"name":"Some_Name","files":[)" + files + "]}");
}
std::string entry(std::string filename, std::string more = "") {
  return R"({"filename":")" + filename + R"(","url":"../../f/)" + filename +
         R"(","hashes":{"sha256":")" + kDigest + "\"}" + more + "}";
}

}  // namespace

TEST_CASE("page: names are normalised as PEP 503 says") {
  CHECK(normalize_name("Foo.Bar__baz-.-X") == "foo-bar-baz-x");
  CHECK(is_project_name("a"));
  CHECK(is_project_name("Foo.Bar_1"));
  for (const std::string_view bad : {"", "-a", "a-", ".", "..", "a/b", "a b", "a\n", "\xc3\xa9"}) {
    CHECK_FALSE(is_project_name(bad));
  }
}

TEST_CASE("page: versions stand in file names where the project's name ends") {
  CHECK(version_in("mlx_lm-0.28.1-py3-none-any.whl", "mlx-lm") == "0.28.1");
  CHECK(version_in("mlx_lm-0.28.1-1-py3-none-any.whl", "mlx-lm") == "0.28.1");
  CHECK(version_in("mlx-lm-0.0.1.tar.gz", "mlx-lm") == "0.0.1");
  CHECK(version_in("zope.interface-5.0-1.zip", "zope-interface") == "5.0-1");
  CHECK(version_in("other-1.0-py3-none-any.whl", "mlx-lm").empty());
  CHECK(version_in("mlx_lm-1.0.whl", "mlx-lm").empty());
  CHECK(version_in("mlx-lm.tar.gz", "mlx-lm").empty());
}

TEST_CASE("page: JSON with everything that PEPs 691, 700, 714 and 592 know") {
  const auto page = json(
      entry("some_name-1.0-py3-none-any.whl",
            R"(,"requires-python":">=3.8","size":12,"upload-time":"2024-01-12T18:36:05.839246Z",
          "yanked":"broken","core-metadata":{"sha256":")" +
                std::string(64, 'b') + "\"}"));
  REQUIRE(page);
  REQUIRE(page->files.size() == 1);
  const ProjectFile& file = page->files[0];
  CHECK(file.version == "1.0");
  CHECK(file.url == "https://index.example/f/some_name-1.0-py3-none-any.whl");
  CHECK(file.sha256 == kDigest);
  CHECK(file.metadata_sha256 == std::string(64, 'b'));
  CHECK(file.requires_python == ">=3.8");
  CHECK(*file.size_bytes == 12);
  CHECK(*file.upload_time_ms == 1705084565839);
  CHECK(*file.yanked == "broken");
  CHECK(page->versions == std::vector<std::string>{"1.0"});
}

TEST_CASE("page: entries that cannot be trusted are left out, the others stay") {
  for (
      const std::string& bad : std::vector<std::string>{
          entry("../../etc/passwd"), entry("other-1.0-py3-none-any.whl"),
          entry("some_name-1.0.exe"), entry("some_name-1.0.tar.gz", R"(,"size":99999999999999)"),
          "7", "{}",
          R"({"filename":"some_name-1.0.tar.gz","url":"file:///etc/passwd","hashes":{}})",
          R"({"filename":"some_name-1.0.tar.gz","url":"x","hashes":{"sha256":"../../x"}})",
          R"({"filename":"some_name-1.0.tar.gz","url":"https://u:p@h/x","hashes":{}})",
          R"({"filename":"some_name-1.0\u0000.tar.gz","url":"x","hashes":{}})",
          R"({"filename":"some_name-1.0.tar.gz","url":"x","hashes":{},"requires-python":"a\nb"})"}) {
    CAPTURE(bad);
    const auto page = json(bad + "," + entry("some_name-2.0.tar.gz"));
    REQUIRE(page);
    REQUIRE(page->files.size() == 1);
    CHECK(page->files[0].version == "2.0");
    CHECK(page->skipped == 1);
    CHECK_FALSE(page->skipped_why.empty());
  }
}

TEST_CASE("page: of two files of one name the first counts") {
  const auto page = json(entry("some_name-2.0.tar.gz") + "," + entry("some_name-2.0.tar.gz"));
  REQUIRE(page);
  CHECK(page->files.size() == 1);
  CHECK(page->skipped == 1);
}

TEST_CASE("page: a page of another project or version of the API is refused") {
  CHECK(parse_json_page("some-name", kBase, R"({"meta":{"api-version":"2.0"},"files":[]})")
            .error()
            .code == ErrorCode::kMirrorPage);
  CHECK(parse_json_page("some-name", kBase,
                        R"({"meta":{"api-version":"1.0"},"name":"other","files":[]})")
            .error()
            .code == ErrorCode::kMirrorPage);
  CHECK(parse_json_page("some-name", kBase, R"({"meta":{"api-version":"1.0"}})").error().code ==
        ErrorCode::kJsonMissing);
  CHECK(parse_json_page("some-name", kBase, R"({"files":[],"files":[]})").error().code ==
        ErrorCode::kJsonDuplicateKey);
  CHECK(parse_json_page("some-name", kBase, "<html>").error().code == ErrorCode::kJsonSyntax);
}

TEST_CASE("page: HTML with everything that PEPs 503, 592, 658 and 714 know") {
  const auto page = parse_html_page(
      "some-name", kBase,
      "<a href=\"../../f/some_name-1.0%2Bcpu-py3-none-any.whl#sha256=" + kDigest +
          "\" data-requires-python=\"&gt;=3.8\" data-yanked=\"why\" data-core-metadata=\"sha256=" +
          std::string(64, 'b') +
          "\">some_name-1.0+cpu-py3-none-any.whl</a>"
          "<a href=\"/f/some_name-2.0.tar.gz#md5=00\">x</a><a>no</a>"
          "<a href=\"/f/%2e%2e%2fsome_name-3.0.tar.gz\">x</a>");
  REQUIRE(page);
  REQUIRE(page->files.size() == 2);
  CHECK(page->files[0].filename == "some_name-1.0+cpu-py3-none-any.whl");
  CHECK(page->files[0].version == "1.0+cpu");
  CHECK(page->files[0].sha256 == kDigest);
  CHECK(page->files[0].metadata_sha256 == std::string(64, 'b'));
  CHECK(*page->files[0].yanked == "why");
  CHECK(page->files[1].sha256.empty());
  CHECK(page->skipped == 2);
}

TEST_CASE("page: a login page is no index, a project without files has one") {
  const auto code = [](std::string_view text) {
    const auto read = parse_html_page("demo", *parse_url("https://h/simple/demo/"), text);
    return read ? std::string("good") : std::string(name_of(read.error().code));
  };
  CHECK(code("<html><body><h1>Log in</h1><form><input type=password></form></body></html>") ==
        "mirror.page");
  CHECK(code("<html><body><a href=\"/help\">Help</a></body></html>") == "mirror.page");
  CHECK(code("<html><head><script>go()</script></head></html>") == "mirror.page");
  CHECK(code("<html><head><title>Links for demo</title></head><body></body></html>") == "good");
  CHECK(code("<!DOCTYPE html><html><body></body></html>") == "good");
}

TEST_CASE("page: the record of a page reads back as the same page") {
  auto page = json(entry("some_name-1.0-py3-none-any.whl", R"(,"yanked":true,"size":5)"));
  REQUIRE(page);
  page->etag = "\"x\"";
  page->fetched_ms = 77;
  page->files[0].first_seen_ms = 55;
  const auto again = from_record(to_record(*page));
  REQUIRE(again);
  CHECK(to_record(*again) == to_record(*page));
  CHECK(again->files[0].yanked->empty());
  CHECK(again->files[0].first_seen_ms == 55);
}

TEST_CASE("page: a file is new when its bytes are, whatever its name") {
  auto before = *json(entry("some_name-1.0.tar.gz"));
  keep_first_seen(before, nullptr, 100);
  auto after = *json(entry("some_name-1.0.tar.gz") + "," + entry("some_name-2.0.tar.gz"));
  keep_first_seen(after, &before, 200);
  CHECK(after.files[0].first_seen_ms == 100);
  CHECK(after.files[1].first_seen_ms == 200);
  after.files[0].sha256 = std::string(64, 'c');
  keep_first_seen(after, &before, 300);
  CHECK(after.files[0].first_seen_ms == 300);
}
