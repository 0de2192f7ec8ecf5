// SPDX-License-Identifier: Apache-2.0
#include "report/sarif.h"

#include <doctest/doctest.h>

#include "codec/json.h"

using namespace mlxguard;
using namespace mlxguard::report;

namespace {

Report sample() {
  Report report;
  report.tool = "tool";
  report.version = "1.0";
  report.root = "/place with space";
  report.rules = {{"CVE-2", "second", "upgrade it", "https://h/2", 9.84, Severity::kError},
                  {"CVE-1", "", "", "javascript:x", std::nullopt, Severity::kNote}};
  Finding finding;
  finding.rule = "CVE-2";
  finding.text = "text \"quoted\"";
  finding.place = {"lock file.txt", 7};
  finding.identity = "pkg:pypi/a@1";
  report.findings = {finding};
  return report;
}

}  // namespace

TEST_CASE("sarif: rules, places, lines, fingerprints and severity") {
  const std::string text = to_sarif(sample());
  REQUIRE(codec::JsonDocument::parse(text));
  const auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  CHECK(has(R"("originalUriBaseIds":{"SRCROOT":{"uri":"file:///place%20with%20space/"}})"));
  CHECK(has(R"("uri":"lock%20file.txt","uriBaseId":"SRCROOT"},"region":{"startLine":7})"));
  CHECK(has(R"("security-severity":"9.8")"));
  CHECK(has(R"("help":{"text":"upgrade it","markdown":"upgrade it"},"helpUri":"https://h/2")"));
  CHECK(has(R"("ruleId":"CVE-2","ruleIndex":1)"));
  CHECK_FALSE(has("javascript"));
}

TEST_CASE("sarif: a fingerprint stays when the line moves, and only then") {
  const auto print = [](const Report& report) {
    const std::string text = to_sarif(report);
    const auto at = text.find("mlxguardFinding/v1");
    return text.substr(at, 90);
  };
  Report moved = sample(), other = sample(), renamed = sample();
  moved.findings[0].place.line = 8;
  other.findings[0].identity = "pkg:pypi/a@2";
  renamed.findings[0].place.path = "other.txt";
  CHECK(print(moved) == print(sample()));
  CHECK(print(other) != print(sample()));
  CHECK(print(renamed) != print(sample()));
}

TEST_CASE("sarif: what is suppressed says why, and every rule that is named is there") {
  Report report = sample();
  report.findings[0].suppressed = "not reachable";
  report.findings.push_back({"deps.other", Severity::kNote, "x", {}, "y", std::nullopt});
  const std::string text = to_sarif(report);
  CHECK(text.find(R"("suppressions":[{"kind":"external","justification":"not reachable"}])") !=
        std::string::npos);
  CHECK(text.find(R"({"id":"deps.other","shortDescription":{"text":"deps.other"}})") !=
        std::string::npos);
}
