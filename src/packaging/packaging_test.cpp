// SPDX-License-Identifier: Apache-2.0
// What must hold whatever the big tests against other implementations say (tests/interop).
#include <doctest/doctest.h>

#include "packaging/marker.h"
#include "packaging/name.h"
#include "packaging/purl.h"
#include "packaging/requirement.h"
#include "packaging/specifier.h"
#include "packaging/version.h"

namespace mlxguard::packaging {
namespace {

Version version(std::string_view text) {
  auto parsed = Version::parse(text);
  REQUIRE(parsed);
  return *std::move(parsed);
}

bool contains(std::string_view specifiers, std::string_view text) {
  const auto set = SpecifierSet::parse(specifiers);
  REQUIRE(set);
  return set->contains(version(text), SpecifierSet::Prereleases::kAllow);
}

TEST_CASE("version: PEP 440's own order") {
  const char* const kOrdered[] = {"1.dev0",
                                  "1.0.dev456",
                                  "1.0a1",
                                  "1.0a2.dev456",
                                  "1.0a12.dev456",
                                  "1.0a12",
                                  "1.0b1.dev456",
                                  "1.0b2",
                                  "1.0b2.post345.dev456",
                                  "1.0b2.post345",
                                  "1.0rc1.dev456",
                                  "1.0rc1",
                                  "1.0",
                                  "1.0+abc.5",
                                  "1.0+abc.7",
                                  "1.0+5",
                                  "1.0.post456.dev34",
                                  "1.0.post456",
                                  "1.0.15",
                                  "1.1.dev1",
                                  "1!0.1"};
  for (std::size_t i = 0; i + 1 < std::size(kOrdered); ++i) {
    CAPTURE(kOrdered[i]);
    CHECK(version(kOrdered[i]) < version(kOrdered[i + 1]));
  }
}

TEST_CASE("version: spellings are one version, and its text is the normal one") {
  CHECK(version("1.0") == version("1.0.0"));
  CHECK(version(" v1.0-ALPHA.1 ").text() == "1.0a1");
  CHECK(version("1.0-1").text() == "1.0.post1");
  CHECK(version("1.0.REV").text() == "1.0.post0");
  CHECK(version("1.0c7").text() == "1.0rc7");
  CHECK(version("2!01.02+Ubuntu-1_2").text() == "2!1.2+ubuntu.1.2");
}

TEST_CASE("version: numbers are as long as they are") {
  const std::string big(400, '9');
  CHECK(version("1." + big) > version("1.18446744073709551616"));
  CHECK(version("1.18446744073709551616") > version("1.18446744073709551615"));
  CHECK(version("1." + big).text() == "1." + big);
}

TEST_CASE("version: what is none") {
  for (const char* text :
       {"", "1.", "x", "1.0 0", "1.0+", "1.0+a..b", "!1", "1.0x", "french toast"}) {
    CAPTURE(text);
    const auto parsed = Version::parse(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == ErrorCode::kVersionInvalid);
  }
  CHECK(Version::parse(std::string(5000, '1')).error().code == ErrorCode::kTooLarge);
}

TEST_CASE("specifier: bounds, prefixes and compatible releases") {
  CHECK(contains("~=2.2", "2.9"));
  CHECK_FALSE(contains("~=2.2", "3.0"));
  CHECK(contains("~=1.4.5a4", "1.4.9"));
  CHECK_FALSE(contains("~=1.4.5", "1.5"));
  CHECK(contains("==1.1.*", "1.1a1"));
  CHECK_FALSE(contains("!=1.1.*", "1.1.post1"));
  CHECK_FALSE(contains("<3.1", "3.1rc1"));
  CHECK(contains("<3.1rc2", "3.1rc1"));
  CHECK_FALSE(contains(">1.7", "1.7.0.post1"));
  CHECK_FALSE(contains(">1.7", "1.7+local"));
  CHECK(contains(">1.7.post1", "1.7.0.post2"));
  CHECK(contains("==1.0", "1.0+downstream1"));
  CHECK_FALSE(contains("==1.0+a", "1.0+b"));
  CHECK(contains(">=1,<2,!=1.5", "1.6"));
}

TEST_CASE("specifier: pre-releases only where one is named") {
  const auto set = SpecifierSet::parse(">=1.0");
  const auto named = SpecifierSet::parse(">=1.0a1");
  REQUIRE(set);
  REQUIRE(named);
  CHECK_FALSE(set->contains(version("2.0rc1"), SpecifierSet::Prereleases::kOnlyIfNamed));
  CHECK(set->contains(version("2.0rc1"), SpecifierSet::Prereleases::kAllow));
  CHECK(named->contains(version("2.0rc1"), SpecifierSet::Prereleases::kOnlyIfNamed));
}

TEST_CASE("specifier: what is none") {
  for (const char* text :
       {"1.0", "=1.0", "~=1", "==1.0.dev1.*", ">=1.0+local", "<1.*", "~=1.0+a"}) {
    CAPTURE(text);
    const auto parsed = Specifier::parse(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == ErrorCode::kSpecifier);
  }
}

TEST_CASE("name: two spellings are one name") {
  CHECK(normalize_name("Foo__Bar.-baz") == "foo-bar-baz");
  CHECK(is_name("a"));
  CHECK_FALSE(is_name("-a"));
  CHECK_FALSE(is_name("a/b"));
}

TEST_CASE("marker: and binds closer than or") {
  const auto environment = linux_environment("3.11.7");
  const auto holds = [&](std::string_view text) {
    const auto marker = Marker::parse(text);
    REQUIRE(marker);
    const auto value = marker->evaluate(environment);
    REQUIRE(value);
    return *value;
  };
  CHECK(holds("os_name == 'posix' or os_name == 'nt' and os_name == 'x'"));
  CHECK_FALSE(holds("(os_name == 'posix' or os_name == 'nt') and os_name == 'x'"));
  CHECK(holds("python_version >= '3.9'"));
  CHECK(holds("python_full_version > '3.11.6'"));
  CHECK(holds("'linux' in sys_platform"));
  CHECK(holds("extra not in 'x'") == false);  // the empty text is in every text
  CHECK_FALSE(holds("extra == 'Test_Extra'"));
}

TEST_CASE("marker: an extra that is asked for") {
  const auto marker = Marker::parse("extra == 'Test_Extra'");
  REQUIRE(marker);
  const std::vector<std::string> extras{"other", "test.extra"};
  CHECK(*marker->evaluate(linux_environment("3.11.7"), extras));
  CHECK(marker->text() == "extra == \"test-extra\"");
}

TEST_CASE("marker: nonsense and depth") {
  CHECK(Marker::parse("os_name = 'x'").error().code == ErrorCode::kMarker);
  CHECK(Marker::parse("unknown == 'x'").error().code == ErrorCode::kMarker);
  CHECK(Marker::parse("os_name == 'x' and").error().code == ErrorCode::kMarker);
  const auto deep =
      Marker::parse(std::string(1000, '(') + "os_name == 'x'" + std::string(1000, ')'));
  CHECK(deep.error().code == ErrorCode::kTooLarge);
}

TEST_CASE("requirement: its parts") {
  const auto parsed = Requirement::parse("mlx-lm[train, Web] >=0.30,<1 ; python_version >= '3.11'");
  REQUIRE(parsed);
  CHECK(parsed->name == "mlx-lm");
  CHECK(parsed->extras == std::vector<std::string>{"train", "Web"});
  CHECK(parsed->specifiers.text() == "<1,>=0.30");
  CHECK(parsed->text() == "mlx-lm[Web,train]<1,>=0.30; python_version >= \"3.11\"");
  const auto url = Requirement::parse("name @ https://example.org/name.whl ; os_name == 'posix'");
  REQUIRE(url);
  CHECK(url->url == "https://example.org/name.whl");
  CHECK(Requirement::parse("name (>=1").error().code == ErrorCode::kRequirement);
  CHECK(Requirement::parse("name >=1 ! x").error().code == ErrorCode::kSpecifier);
  CHECK(Requirement::parse("-name").error().code == ErrorCode::kRequirement);
}

TEST_CASE("purl: normal forms") {
  CHECK(pypi_purl("Foo_Bar", "1.0+local") == "pkg:pypi/foo-bar@1.0%2Blocal");
  const auto parsed = Purl::parse("PKG:PyPI/Django_package@1.11.1.dev1?b=2&A=1#x/../y");
  REQUIRE(parsed);
  CHECK(parsed->name == "django-package");
  CHECK(*parsed->write() == "pkg:pypi/django-package@1.11.1.dev1?a=1&b=2#x/y");
  for (const char* text :
       {"pkg:pypi", "pypi/x", "pkg:pypi/", "pkg:n&g/x", "pkg:pypi/a%zz", "pkg:npm/a?x%20y=1"}) {
    CAPTURE(text);
    CHECK(Purl::parse(text).error().code == ErrorCode::kPurl);
  }
}

TEST_CASE("specifier: an empty arbitrary equality is one, and holds for no version") {
  const auto set = SpecifierSet::parse("===");
  REQUIRE(set);
  CHECK_FALSE(set->contains(version("1.0"), SpecifierSet::Prereleases::kAllow));
}

}  // namespace
}  // namespace mlxguard::packaging
