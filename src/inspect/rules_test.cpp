// SPDX-License-Identifier: Apache-2.0
#include "inspect/rules.h"

#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "inspect/finding.h"
#include "inspect/report_writer.h"

using namespace mlxguard::inspect;

TEST_CASE("rules: ids are unique and found, and the page of documentation has every row") {
  std::ifstream file(std::string(MLXGUARD_SOURCE_DIR) + "/docs/inspect.md");
  std::stringstream page;
  page << file.rdbuf();
  std::set<std::string_view> ids;
  for (const RuleRow& row : rules()) {
    CAPTURE(row.id);
    CHECK(ids.insert(row.id).second);
    CHECK(find_rule(row.id) == &row);
    CHECK(&describe(row.rule) == &row);
    const std::string written = "| `" + std::string(row.id) + "` | " +
                                std::string(name_of(row.severity)) + " | " +
                                std::string(row.meaning);
    CHECK(page.str().find(written) != std::string::npos);
    CHECK(!row.help.empty());
  }
  CHECK(find_rule("no.rule") == nullptr);
  CHECK(find_severity("high") == Severity::kHigh);
  CHECK(!find_severity("High"));
}

TEST_CASE("report: what could not be inspected is never clean") {
  Report report;
  report.add({"a", {}, 1}, {"json", {}, ""});
  CHECK(status_of(report) == "clean");
  FileReport info;
  Findings(info).add(Rule::kHardLink, Severity::kInfo, "x");
  report.add({"b", {}, 1}, info);
  CHECK(status_of(report) == "clean");
  FileReport low;
  Findings(low).add(Rule::kHardLink, "x");
  report.add({"c", {}, 1}, low);
  CHECK(status_of(report) == "findings");
  report.add({"d", {}, 1}, {"json", {}, "why"});
  CHECK(status_of(report) == "incomplete");
  CHECK(!report.complete());
  CHECK(report.worst() == Severity::kHigh);
  report.sort();
  CHECK(report.findings.front().rule == Rule::kIncomplete);
}

TEST_CASE("evidence: is cut, and what a reader could not see is escaped") {
  CHECK(evidence_of("a\x1b[31m\n\xE2\x80\xAE\xFF\xC3\xBC") ==
        "a\\x1b[31m\\x0a\\xe2\\x80\\xae\\xff\xC3\xBC");
  CHECK(evidence_of(std::string(1000, 'x')).size() < 260);
}
