// SPDX-License-Identifier: Apache-2.0
#include "mirror/html.h"

#include <doctest/doctest.h>

#include "base/limits.h"

using namespace mlxguard;
using namespace mlxguard::mirror;

TEST_CASE("html: anchors with their attributes and text, entities decoded") {
  const auto index = parse_html_index(
      "<!DOCTYPE html><META NAME='pypi:repository-version' content=\"1.3\">"
      "<a HREF=\"x.whl#sha256=1\" data-requires-python=\"&gt;=3.8,&#60;4\">x&amp;.whl</a>"
      "<A href=y data-yanked>\n y </A>");
  REQUIRE(index);
  CHECK(index->repository_version == "1.3");
  REQUIRE(index->anchors.size() == 2);
  CHECK(*index->anchors[0].find("href") == "x.whl#sha256=1");
  CHECK(*index->anchors[0].find("data-requires-python") == ">=3.8,<4");
  CHECK(index->anchors[0].text == "x&.whl");
  CHECK(*index->anchors[1].find("href") == "y");
  CHECK(index->anchors[1].find("data-yanked")->empty());
  CHECK(index->anchors[1].text == "y");
  CHECK(index->anchors[1].find("title") == nullptr);
}

TEST_CASE("html: what is in a comment is no link") {
  const auto index =
      parse_html_index("<!-- <a href=evil>e</a> --><a href=good>g</a><!-- <a href=z>");
  REQUIRE(index);
  REQUIRE(index->anchors.size() == 1);
  CHECK(*index->anchors[0].find("href") == "good");
}

TEST_CASE("html: of two attributes of one name the first counts, as in a browser") {
  const auto index = parse_html_index("<a href=first href=second>x</a>");
  CHECK(*index->anchors[0].find("href") == "first");
}

TEST_CASE("html: bounds are kept") {
  CHECK(parse_html_index("<a href='never closed").error().code == ErrorCode::kMirrorPage);
  CHECK(parse_html_index("<a " + std::string(100, 'x') + "='" + std::string(20000, 'y') + "'>")
            .error()
            .code == ErrorCode::kMirrorPage);
  std::string attributes = "<a";
  for (int i = 0; i < 100; ++i) attributes += " x" + std::to_string(i);
  CHECK(parse_html_index(attributes + ">").error().code == ErrorCode::kMirrorPage);
  CHECK(parse_html_index("<a href=x>" + std::string(20000, 'y')).error().code ==
        ErrorCode::kMirrorPage);
  CHECK(parse_html_index("\xff<a href=x>x</a>").error().code == ErrorCode::kMirrorPage);
  std::string many;
  for (std::size_t i = 0; i <= limits::kMirrorPageFilesMax; ++i) many += "<a href=x>x</a>";
  CHECK(parse_html_index(many).error().code == ErrorCode::kMirrorPage);
  CHECK(parse_html_index(std::string(limits::kMirrorPageBytesMax + 1, ' ')).error().code ==
        ErrorCode::kTooLarge);
}

TEST_CASE("html: text is escaped for elements and attributes") {
  CHECK(escape_html("<script>\"'&") == "&lt;script&gt;&quot;&#39;&amp;");
}
