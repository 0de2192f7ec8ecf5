// SPDX-License-Identifier: Apache-2.0
#include "mirror/render.h"

#include <doctest/doctest.h>

#include "codec/json.h"

using namespace mlxguard;
using namespace mlxguard::mirror;

namespace {

ProjectPage sample() {
  ProjectPage page;
  page.project = "some-name";
  page.fetched_ms = 1'700'000'000'000;
  page.versions = {"0.9", "1.0", "2.0"};
  ProjectFile file;
  file.filename = "some_name-1.0+x-py3-none-any.whl";
  file.version = "1.0";
  file.url = "https://upstream.example/x";
  file.sha256 = std::string(64, 'a');
  file.metadata_sha256 = std::string(64, 'b');
  file.requires_python = ">=3.8,\"<script>";
  file.yanked = "<b>";
  file.size_bytes = 7;
  file.upload_time_ms = 1'700'000'000'000;
  page.files.push_back(file);
  file.filename = "some_name-2.0.tar.gz";
  file.version = "2.0";
  page.files.push_back(file);
  return page;
}

}  // namespace

TEST_CASE("render: JSON has every field, leads to the mirror and never upstream") {
  const ProjectPage page = sample();
  const std::string text = render_json(page, {&page.files[0]}, {});
  CHECK(text.find("upstream.example") == std::string::npos);
  const auto document = codec::JsonDocument::parse(text);
  REQUIRE(document);
  const auto root = document->root();
  CHECK(*root.find("meta")->find("api-version")->as_string() == "1.1");
  CHECK(root.find("versions")->dump() == R"(["0.9","1.0"])");
  std::string url;
  CHECK(root.find("files")->each_element([&](std::size_t, codec::JsonValue file) -> Result<void> {
    url = *file.find("url")->as_string();
    CHECK(*file.find("yanked")->as_string() == "<b>");
    CHECK(*file.find("core-metadata")->find("sha256")->as_string() == std::string(64, 'b'));
    CHECK(*file.find("size")->as_uint64() == 7);
    return {};
  }));
  CHECK(url == "../../files/some-name/some_name-1.0%2Bx-py3-none-any.whl");
}

TEST_CASE("render: HTML escapes what upstream wrote") {
  const ProjectPage page = sample();
  const std::string text = render_html(page, {&page.files[0]}, {.stale_ms = 90'000});
  CHECK(text.find("<script>") == std::string::npos);
  CHECK(text.find("data-requires-python=\"&gt;=3.8,&quot;&lt;script&gt;\"") != std::string::npos);
  CHECK(text.find("data-yanked=\"&lt;b&gt;\"") != std::string::npos);
  CHECK(text.find("#sha256=" + std::string(64, 'a')) != std::string::npos);
  CHECK(text.find("content=\"90\"") != std::string::npos);
  CHECK(text.find("upstream.example") == std::string::npos);
}

TEST_CASE("render: a page without all sizes is one of API version 1.0") {
  ProjectPage page = sample();
  page.files[0].size_bytes.reset();
  CHECK(render_json(page, {&page.files[0]}, {}).find("\"api-version\":\"1.0\"") !=
        std::string::npos);
}

TEST_CASE("render: content is negotiated as PEP 691 says") {
  const auto pip =
      "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; "
      "q=0.01";
  CHECK(negotiate(pip) == PageFormat::kJson);
  CHECK(negotiate("") == PageFormat::kPlainHtml);
  CHECK(negotiate("*/*") == PageFormat::kPlainHtml);
  CHECK(negotiate("text/html") == PageFormat::kPlainHtml);
  CHECK(negotiate("application/vnd.pypi.simple.latest+json") == PageFormat::kJson);
  CHECK(negotiate("text/html;q=0.1, application/vnd.pypi.simple.v1+html;q=0.5") ==
        PageFormat::kHtml);
  CHECK(negotiate("image/png") == std::nullopt);
  CHECK(negotiate("text/html;q=0") == std::nullopt);
  CHECK(negotiate("text/html;q=nonsense") == std::nullopt);
}
