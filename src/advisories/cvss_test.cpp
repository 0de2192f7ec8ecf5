// SPDX-License-Identifier: Apache-2.0
// Scores beside those that an independent implementation gave (tests/vectors/cvss).
#include "advisories/cvss.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "codec/json.h"
#include "codec/text.h"
#include "crypto/digest.h"

namespace mlxguard::advisories {
namespace {

using codec::JsonValue;

codec::JsonDocument recorded() {
  std::ifstream file(std::string(MLXGUARD_SOURCE_DIR) + "/tests/vectors/cvss/scores.json");
  std::stringstream text;
  text << file.rdbuf();
  auto document = codec::JsonDocument::parse(text.str());
  REQUIRE(document);
  return *std::move(document);
}

void visit(JsonValue array, const std::function<void(JsonValue)>& each) {
  REQUIRE(array.each_element([&](std::size_t, JsonValue one) -> Result<void> {
    each(one);
    return {};
  }));
}

/// A metric's name with each of its values: "AV:N".
std::vector<std::vector<std::string>> metrics_of(JsonValue version) {
  std::vector<std::vector<std::string>> metrics;
  visit(*version.member("metrics"), [&](JsonValue row) {
    metrics.emplace_back();
    std::string name;
    visit(row, [&](JsonValue part) {
      if (part.is(codec::JsonKind::kString)) {
        name = *part.as_string();
        return;
      }
      visit(part, [&](JsonValue value) {
        metrics.back().push_back(name + ":" + std::string(*value.as_string()));
      });
    });
  });
  return metrics;
}

/// Scores in tenths of every vector, the last metric varying fastest; -1: none.
std::vector<int> every_score(const std::string& prefix,
                             const std::vector<std::vector<std::string>>& metrics) {
  std::vector<int> tenths;
  std::vector<std::size_t> at(metrics.size(), 0);
  for (;;) {
    std::string vector = prefix;
    for (std::size_t i = 0; i < at.size(); ++i) vector += (i == 0 ? "" : "/") + metrics[i][at[i]];
    const auto score = cvss_score(vector);
    tenths.push_back(score ? static_cast<int>(std::lround(*score * 10)) : -1);
    std::size_t turn = at.size();
    while (turn > 0 && ++at[turn - 1] == metrics[turn - 1].size()) at[--turn] = 0;
    if (turn == 0) return tenths;
  }
}

TEST_CASE("cvss: every vector of mandatory metrics scores as another implementation scores it") {
  const codec::JsonDocument document = recorded();
  const JsonValue all = *document.root().member("all");
  for (const auto& [version, vectors] :
       {std::pair{"2.0", 729}, {"3.0", 2592}, {"3.1", 2592}, {"4.0", 104'976}}) {
    CAPTURE(version);
    const JsonValue one = *all.member(version);
    const auto tenths =
        every_score(std::string(*one.member("prefix")->as_string()), metrics_of(one));
    REQUIRE(tenths.size() == static_cast<std::size_t>(vectors));
    if (const auto digest = one.find("sha256")) {
      std::string lines;
      for (const int score : tenths) lines += std::to_string(score) + "\n";
      CHECK(codec::to_hex(crypto::sha256(as_bytes(lines))) == *digest->as_string());
      continue;
    }
    std::vector<int> expected;
    visit(*one.member("tenths"),
          [&](JsonValue score) { expected.push_back(static_cast<int>(*score.as_int64())); });
    CHECK(tenths == expected);
  }
}

TEST_CASE("cvss: vectors with optional metrics, and malformed ones, as another implementation") {
  const codec::JsonDocument document = recorded();
  std::size_t scored = 0, refused = 0;
  visit(*document.root().member("some"), [&](JsonValue row) {
    std::string vector;
    std::optional<double> expected;
    visit(row, [&](JsonValue part) {
      if (part.is(codec::JsonKind::kString)) vector = *part.as_string();
      if (part.is(codec::JsonKind::kNumber)) expected = *part.as_double();
    });
    CAPTURE(vector);
    const auto score = cvss_score(vector);
    REQUIRE(score.has_value() == expected.has_value());
    if (score) CHECK(*score == doctest::Approx(*expected));
    ++(score ? scored : refused);
  });
  CHECK(scored > 1000);
  CHECK(refused > 100);
}

TEST_CASE("cvss: base scores of the specifications' own examples") {
  const auto score = [](std::string_view vector) { return cvss_score(vector).value_or(-1); };
  CHECK(score("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N") ==
        doctest::Approx(9.3));
  CHECK(score("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H") == doctest::Approx(9.8));
  CHECK(score("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N") == doctest::Approx(6.1));
  CHECK(score("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N") == doctest::Approx(6.4));
  CHECK(score("CVSS:3.1/AV:P/AC:H/PR:L/UI:R/S:U/C:N/I:N/A:N") == doctest::Approx(0.0));
  CHECK(score("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:P/RL:O") == doctest::Approx(10.0));
  CHECK(score("AV:N/AC:L/Au:N/C:N/I:N/A:C") == doctest::Approx(7.8));
  CHECK(score("AV:N/AC:L/Au:N/C:C/I:C/A:C") == doctest::Approx(10.0));
}

TEST_CASE("cvss: a malformed vector has no score") {
  for (const char* none :
       {"CVSS:3.1/AV:N", "CVSS:3.1/AV:N/AV:N", "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "",
        "nonsense", "CVSS:3.1/", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:Z", "AV:N/AC:L/Au:N/C:C/I:C/A:C/XX:Y",
        "CVSS:3.2/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:4.0/",
        "CVSS:4.1/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:S/SA:N",
        "cvss:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}) {
    CAPTURE(none);
    CHECK_FALSE(cvss_score(none).has_value());
  }
}

}  // namespace
}  // namespace mlxguard::advisories
