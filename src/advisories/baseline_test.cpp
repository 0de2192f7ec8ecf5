// SPDX-License-Identifier: Apache-2.0
#include "advisories/baseline.h"

#include <doctest/doctest.h>

#include "advisories/accepted_names.h"
#include "advisories/scan.h"

using namespace mlxguard;
using namespace mlxguard::advisories;

namespace {

constexpr std::int64_t kDayMs = 24ll * 60 * 60 * 1000;

WallTime day(std::int64_t number) { return WallTime(std::chrono::milliseconds(number * kDayMs)); }

inventory::Component package(const std::string& name, const std::string& version) {
  inventory::Component component;
  component.name = name;
  component.version = version;
  component.purl = "pkg:pypi/" + name + "@" + version;
  return component;
}

ComponentReport vulnerable(const inventory::Component& component) {
  ComponentReport report;
  report.component = &component;
  Finding finding;
  finding.id = "CVE-1";
  finding.ids = {"CVE-1", "GHSA-1"};
  report.findings.push_back(finding);
  conclude(report);
  return report;
}

ComponentReport unknown(const inventory::Component& component) {
  ComponentReport report;
  report.component = &component;
  report.unknowns.push_back({Reason::kUnlisted, "nobody knows it"});
  conclude(report);
  return report;
}

const BaselineTerms kTerms{"looked at", "we", "1970-01-10"};

}  // namespace

TEST_CASE("baseline: what it accepts is accepted, and not clean") {
  const auto a = package("a", "1"), b = package("b", "1");
  Report report;
  report.components = {vulnerable(a), unknown(b)};
  report.unknowns = {{Reason::kUnreadable, "x: unreadable"}, {Reason::kNoDatabase, "none"}};
  conclude(report);
  CHECK(report.verdict == Verdict::kVulnerable);
  const auto made = baseline_of(report, kTerms, day(1));
  REQUIRE(made);
  const auto baseline = parse_baseline(write_baseline(*made));
  REQUIRE(baseline);
  CHECK(baseline->entries.size() == 3);
  BaselineUse use = apply_baseline(*baseline, report, day(1));
  CHECK(use.used == 3);
  CHECK(report.components[0].verdict == Verdict::kAccepted);
  CHECK(report.components[0].findings[0].accepted->author == "we");
  CHECK(report.components[1].verdict == Verdict::kAccepted);
  // A missing database is mended, not accepted.
  CHECK(report.verdict == Verdict::kCouldNotTell);
  CHECK_FALSE(report.passes());
  report.unknowns.pop_back();
  static_cast<void>(apply_baseline(*baseline, report, day(1)));
  CHECK(report.verdict == Verdict::kAccepted);
  CHECK(report.passes());
  report.altered = true;
  CHECK_FALSE(report.passes());
}

TEST_CASE("baseline: another version, another finding and another reason are open") {
  const auto a = package("a", "1"), later = package("a", "2"), b = package("b", "1");
  Report first;
  first.components = {vulnerable(a), unknown(b)};
  conclude(first);
  const Baseline baseline = *baseline_of(first, kTerms, day(1));
  Report second;
  second.components = {vulnerable(later), vulnerable(a), unknown(b)};
  second.components[1].findings[0].id = "CVE-2";
  second.components[1].findings[0].ids = {"CVE-2"};
  second.components[2].unknowns[0].reason = Reason::kNoVersion;
  const BaselineUse use = apply_baseline(baseline, second, day(1));
  CHECK(second.components[0].verdict == Verdict::kVulnerable);
  CHECK(second.components[1].verdict == Verdict::kVulnerable);
  CHECK(second.components[2].verdict == Verdict::kCouldNotTell);
  CHECK(use.unused.size() == 2);
}

TEST_CASE("baseline: an entry holds until its last day is over, and by any id of the finding") {
  const auto a = package("a", "1");
  const auto baseline = parse_baseline(
      R"({"format":"mlxguard-baseline-1","entries":[{"package":"pkg:pypi/a@1","id":"GHSA-1",
          "reason":"r","author":"we","expires":"1970-01-10"}]})");
  REQUIRE(baseline);
  Report report;
  report.components = {vulnerable(a)};
  CHECK(apply_baseline(*baseline, report, WallTime(std::chrono::milliseconds(10 * kDayMs - 1)))
            .expired.empty());
  CHECK(report.verdict == Verdict::kAccepted);
  Report after;
  after.components = {vulnerable(a)};
  const BaselineUse use = apply_baseline(*baseline, after, day(10));
  CHECK(use.expired.size() == 1);
  CHECK(after.verdict == Verdict::kVulnerable);
  CHECK(baseline_of(after, kTerms, day(10)).error().code == ErrorCode::kUsage);
  CHECK(baseline_of(after, {"r", "we", "soon"}, day(1)).error().code == ErrorCode::kUsage);
  CHECK(baseline_of(after, {"", "we", "1970-01-20"}, day(1)).error().code == ErrorCode::kUsage);
}

TEST_CASE("baseline: what is no baseline is refused") {
  const auto code = [](const std::string& entry) {
    const auto read =
        parse_baseline(R"({"format":"mlxguard-baseline-1","entries":[)" + entry + "]}");
    return read ? std::string("good") : std::string(name_of(read.error().code));
  };
  const std::string who = R"("reason":"r","author":"a","expires":"2027-01-01")";
  CHECK(code(R"({"package":"p","id":"x",)" + who + "}") == "good");
  for (const std::string& bad :
       {std::string("1"), R"({"id":"x",)" + who + "}", R"({"package":"p",)" + who + "}",
        R"({"package":"p","id":"x","unknown":"version",)" + who + "}",
        std::string(R"({"package":"p","id":"x","author":"a","expires":"2027-01-01"})"),
        std::string(R"({"package":"p","id":"x","reason":"r","expires":"2027-01-01"})"),
        std::string(R"({"package":"p","id":"x","reason":"r","author":"a"})"),
        std::string(R"({"package":"p","id":"x","reason":"r","author":"a","expires":"never"})")}) {
    CHECK(code(bad) == "deps.file");
  }
  CHECK(parse_baseline("{}").error().code == ErrorCode::kDepsFile);
  CHECK(parse_baseline("[").error().code == ErrorCode::kDepsFile);
}

TEST_CASE("scan: names to accept are those of reasons and of packages that are there") {
  inventory::Inventory inventory;
  inventory.components = {package("some-name", "1")};
  const auto names = accepted_names({"Some_Name, unlisted-package", "version"}, inventory);
  REQUIRE(names);
  CHECK(names->contains("some-name"));
  CHECK(names->contains("unlisted-package"));
  CHECK(names->contains("version"));
  CHECK(accepted_names({"other"}, inventory).error().code == ErrorCode::kUsage);
  CHECK(accepted_names({"version,"}, inventory).error().code == ErrorCode::kUsage);
  CHECK(accepted_names({""}, inventory).error().code == ErrorCode::kUsage);
}
