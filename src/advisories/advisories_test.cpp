// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "advisories/database.h"
#include "advisories/match.h"
#include "advisories/scan.h"
#include "advisories/source.h"
#include "inventory/files.h"

namespace mlxguard::advisories {
namespace {

namespace fs = std::filesystem;

Affected affected_by(std::vector<Event> events, std::vector<std::string> versions = {}) {
  Affected one;
  one.ranges.push_back({Range::Kind::kEcosystem, std::move(events)});
  one.versions = std::move(versions);
  return one;
}

Standing standing(const Affected& affected, std::string_view version) {
  return match(affected, version).standing;
}

using Kind = Event::Kind;

TEST_CASE("match: introduced counts, fixed does not, pre-releases are ordered like any version") {
  const Affected one = affected_by({{Kind::kIntroduced, "1.0"}, {Kind::kFixed, "2.0"}});
  CHECK(standing(one, "0.9") == Standing::kUnaffected);
  CHECK(standing(one, "1.0rc1") == Standing::kUnaffected);
  CHECK(standing(one, "1.0") == Standing::kAffected);
  CHECK(standing(one, "2.0rc1") == Standing::kAffected);  // a specifier <2.0 would leave it out
  CHECK(standing(one, "2.0") == Standing::kUnaffected);
  CHECK(standing(one, "2.0.post1") == Standing::kUnaffected);
  CHECK(match(one, "1.5").fixed_in == std::vector<std::string>{"2.0"});
}

TEST_CASE("match: last_affected is inclusive, events may come in any order, lines are separate") {
  const Affected one = affected_by({{Kind::kLastAffected, "3.1"},
                                    {Kind::kFixed, "1.4"},
                                    {Kind::kIntroduced, "3.0"},
                                    {Kind::kIntroduced, "0"}});
  CHECK(standing(one, "0.0.1.dev0") == Standing::kAffected);
  CHECK(standing(one, "1.4") == Standing::kUnaffected);
  CHECK(standing(one, "3.0") == Standing::kAffected);
  CHECK(standing(one, "3.1") == Standing::kAffected);
  CHECK(standing(one, "3.1.1") == Standing::kUnaffected);
}

TEST_CASE(
    "match: listed versions are compared, not spelled, and an entry that is none is passed over") {
  Affected one;
  one.versions = {"not a version", "1.0-alpha.1", "1!2"};
  CHECK(standing(one, "1.0a1") == Standing::kAffected);
  CHECK(standing(one, "1.0.0a1") == Standing::kAffected);
  CHECK(standing(one, "2") == Standing::kUnaffected);
  CHECK(standing(one, "not a version") == Standing::kAffected);
  // Every spelling of an equal version, also where the first numbers look different.
  const std::vector<std::string> two{"2", "v2", " 2.0 ", "02.0.0", "0!2", "2.0.0.0"};
  for (const std::string& entry : two) {
    Affected listing;
    listing.versions = {entry};
    for (const std::string& version : two) {
      CAPTURE(entry);
      CAPTURE(version);
      CHECK(standing(listing, version) == Standing::kAffected);
    }
    for (const char* other : {"2.1", "20", "1!2", "2.post0", "2rc1", "0.2"}) {
      CHECK(standing(listing, other) == Standing::kUnaffected);
    }
  }
}

TEST_CASE("match: a local version is as affected as the public one that it was built from") {
  Affected one = affected_by({{Kind::kIntroduced, "1.0"}, {Kind::kLastAffected, "2.0"}}, {"3.0"});
  CHECK(standing(one, "2.0+cpu") == Standing::kAffected);
  CHECK(standing(one, "3.0+cu118") == Standing::kAffected);
  CHECK(standing(one, "2.1+cpu") == Standing::kUnaffected);
  CHECK(standing(affected_by({{Kind::kIntroduced, "0"}, {Kind::kFixed, "2.0"}}), "2.0+cpu") ==
        Standing::kUnaffected);
  const Affected named = affected_by({{Kind::kIntroduced, "0"}, {Kind::kFixed, "2.0+patched.1"}});
  CHECK(standing(named, "2.0+patched.1") == Standing::kUnaffected);
  CHECK(standing(named, "2.0") == Standing::kAffected);
}

TEST_CASE("match: a limit ends a range, any of several, and a star ends none") {
  const auto limited = [](std::vector<std::string> limits) {
    std::vector<Event> events{{Kind::kIntroduced, "1.0"}};
    for (std::string& limit : limits) events.push_back({Kind::kLimit, std::move(limit)});
    return affected_by(std::move(events));
  };
  CHECK(standing(limited({"2.0"}), "1.5") == Standing::kAffected);
  CHECK(standing(limited({"2.0"}), "2.0") == Standing::kUnaffected);
  CHECK(standing(limited({"2.0", "3.0"}), "2.5") == Standing::kAffected);
  CHECK(standing(limited({"2.0", "*"}), "9") == Standing::kAffected);
}

TEST_CASE("match: a range that nothing begins says nothing") {
  CHECK(standing(affected_by({}), "1.0") == Standing::kCouldNotTell);
  CHECK(standing(affected_by({{Kind::kFixed, "2.0"}}), "1.0") == Standing::kCouldNotTell);
}

TEST_CASE("match: what cannot be evaluated could not be told") {
  Affected commits;
  commits.ranges.push_back({Range::Kind::kGit, {}});
  CHECK(standing(commits, "1.0") == Standing::kCouldNotTell);
  CHECK(standing(Affected{}, "1.0") == Standing::kCouldNotTell);
  CHECK(standing(affected_by({{Kind::kIntroduced, "abc"}}), "1.0") == Standing::kCouldNotTell);
  CHECK(standing(affected_by({{Kind::kIntroduced, "1"}}), "abc") == Standing::kCouldNotTell);
  // A range of commits first does not hide the one that can be evaluated.
  Affected both = commits;
  both.ranges.push_back({Range::Kind::kEcosystem, {{Kind::kIntroduced, "0"}, {Kind::kFixed, "2"}}});
  CHECK(standing(both, "1.0") == Standing::kAffected);
  CHECK(standing(both, "2.0") == Standing::kUnaffected);
}

TEST_CASE("osv: what is no record is refused") {
  for (const char* text :
       {"", "[]", "{}", R"({"id":"X"})", R"({"id":1,"modified":"2024-01-01T00:00:00Z"})",
        R"({"id":"X","modified":"x","affected":{}})",
        R"({"id":"X","modified":"x","affected":[{"ranges":[{"type":"SPACE"}]}]})",
        R"({"id":"X","modified":"x","affected":[{"ranges":[{"type":"GIT","events":[{}]}]}]})",
        R"({"id":"X","modified":"x","affected":[{"versions":[1]}]})"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_record(text).has_value());
  }
  CHECK(parse_record(R"({"id":"X"})").error().code == ErrorCode::kAdvisoryRecord);
}

TEST_CASE("osv: packages are found by normalised names and by purls") {
  const auto record = parse_record(R"({"id":"X","modified":"2024-01-01T00:00:00Z","affected":[
      {"package":{"ecosystem":"PyPI","name":"Foo_Bar.Baz"}},
      {"package":{"ecosystem":"","name":"fmt","purl":"pkg:generic/fmt"}},
      {"package":{"ecosystem":"npm","name":"left-pad"}}]})");
  REQUIRE(record.has_value());
  CHECK(record->affected[0].key == "pypi/foo-bar-baz");
  CHECK(record->affected[1].key == "generic/fmt");
  CHECK(record->affected[2].key.empty());
  CHECK(key_of_purl("pkg:github/antirez/gguf-tools@8fa6eb6") == "github/antirez/gguf-tools");
}

struct Folder {
  fs::path path = fs::temp_directory_path() / "mlxguard-advisories-XXXXXX";
  Folder() {
    std::string name = path.string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

std::string sample(const std::string& id, const std::string& name) {
  return R"({"id":")" + id + R"(","modified":"2024-01-01T00:00:00Z","aliases":["CVE-)" + id +
         R"("],"affected":[{"package":{"ecosystem":"PyPI","name":")" + name +
         R"("},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2"}]}]}]})";
}

TEST_CASE("database: what was built is found again, and every changed byte is noticed") {
  const Folder folder;
  Builder builder;
  builder.add("a", sample("A", "alpha"));
  builder.add("b", sample("B", "Beta"));
  builder.add("c", "{");
  auto bytes = std::move(builder).finish({.source = "test"});
  REQUIRE(bytes.has_value());
  const fs::path file = folder.path / "osv.db";
  REQUIRE(inventory::write_file(file, *bytes).has_value());
  const auto database = Database::open(file);
  REQUIRE(database.has_value());
  CHECK(database->info().records == 2);
  CHECK(database->info().skipped == 1);
  CHECK(database->keys() == std::vector<std::string>{"pypi/alpha", "pypi/beta"});
  const auto found = database->find("pypi/beta");
  REQUIRE(found.has_value());
  REQUIRE(found->size() == 1);
  CHECK(found->front().id == "B");
  CHECK(found->front().affected.front().ranges.front().events.size() == 2);
  CHECK(database->find("pypi/gamma")->empty());
  for (std::size_t at = 0; at < bytes->size(); at += 7) {
    std::string changed = *bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    REQUIRE(inventory::write_file(file, changed).has_value());
    const auto opened = Database::open(file);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == ErrorCode::kAdvisoryDatabase);
  }
}

TEST_CASE(
    "database: a broken record is never taken for clean, and a date to come makes nothing "
    "younger") {
  const Folder folder;
  const WallTime now(std::chrono::milliseconds(1'700'000'000'000));  // in 2023
  Builder builder(now);
  std::string early = sample("A", "alpha"), broken = sample("B", "Alpha"),
              other = sample("C", "beta");
  early.replace(early.find("2024-"), 5, "2022-");
  other.replace(other.find("2024-"), 5, "2999-");
  broken.replace(broken.find("ECOSYSTEM"), 9, "NONSENSE!");
  builder.add("a.json", early);
  builder.add("b.json", broken);
  builder.add("c.json", other);
  auto bytes = std::move(builder).finish({.source = "test"});
  REQUIRE(bytes.has_value());
  const fs::path file = folder.path / "osv.db";
  REQUIRE(inventory::write_file(file, *bytes).has_value());
  const auto database = Database::open(file);
  REQUIRE(database.has_value());
  CHECK(database->info().newest == "2022-01-01T00:00:00Z");
  CHECK(check_age(database->info(), std::chrono::hours(24), now).error().code ==
        ErrorCode::kAdvisoryTooOld);
  const auto found = database->find("pypi/alpha");
  REQUIRE(found.has_value());
  REQUIRE(found->size() == 2);
  CHECK(match(found->at(0).affected.front(), "5").standing == Standing::kUnaffected);
  CHECK(match(found->at(1).affected.front(), "5").standing == Standing::kCouldNotTell);
  CHECK(found->at(1).id.find("b.json") != std::string::npos);
}

TEST_CASE("database: without a usable record there is none") {
  Builder builder;
  builder.add("a", "{");
  const auto bytes = std::move(builder).finish({.source = "test"});
  REQUIRE_FALSE(bytes.has_value());
  CHECK(bytes.error().code == ErrorCode::kAdvisoryDatabase);
}

TEST_CASE("scan: nothing is clean without a database, and only a name accepts") {
  inventory::Inventory inventory;
  inventory::Component component;
  component.name = "alpha";
  component.version = "1.0";
  component.purl = "pkg:pypi/alpha@1.0";
  inventory.components.push_back(component);
  const auto verdict = [&](std::set<std::string, std::less<>> accepted) {
    ScanOptions options;
    options.accepted = std::move(accepted);
    return scan(inventory, {}, options, WallTime{})->verdict;
  };
  CHECK(verdict({}) == Verdict::kCouldNotTell);
  CHECK(verdict({"alpha"}) == Verdict::kCouldNotTell);
  CHECK(verdict({"no-database"}) == Verdict::kCouldNotTell);
  CHECK(verdict({"alpha", "no-database"}) == Verdict::kAccepted);
}

TEST_CASE("yaml: every scalar is a text, and what is too deep is refused") {
  CHECK(*yaml_to_json("a: 1.10\nb: [x, ~]\n") == R"({"a":"1.10","b":["x",null]})");
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "- ";
  CHECK(yaml_to_json(deep).error().code == ErrorCode::kAdvisoryRecord);
  CHECK(yaml_to_json("a: [").error().code == ErrorCode::kAdvisoryRecord);
}

}  // namespace
}  // namespace mlxguard::advisories
