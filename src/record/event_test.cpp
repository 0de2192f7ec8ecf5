// SPDX-License-Identifier: Apache-2.0
#include "record/event.h"

#include <doctest/doctest.h>

#include <set>

using namespace mlxguard;          // NOLINT
using namespace mlxguard::record;  // NOLINT

TEST_CASE("events: every kind has a row of its own, and its name finds it") {
  std::set<std::string_view> names;
  for (const KindRow& row : all_kinds()) {
    CHECK(names.insert(row.name).second);
    CHECK(&describe(row.kind) == find_kind(row.name));
    CHECK(!row.meaning.empty());
    CHECK(row.severity_id >= 1);
    CHECK(row.severity_id <= 6);
  }
  CHECK(find_kind("model.unheard_of") == nullptr);
}

TEST_CASE("events: an event of an error carries its code, subject, expected and actual values") {
  const Error error = make_error(ErrorCode::kDigestMismatch, "the file changed")
                          .about("model.safetensors")
                          .compared("aa", "bb");
  const Event event = event_of(Kind::kModelRefused, error, "m");
  CHECK(event.outcome == Outcome::kRefused);
  CHECK(event.code == ErrorCode::kDigestMismatch);
  CHECK(event.model == "m");
  REQUIRE(event.fields.size() == 3);
  CHECK(event.fields[0].first == "subject");
  CHECK(std::get<std::string>(event.fields[1].second) == "aa");
  CHECK(std::get<std::string>(event.fields[2].second) == "bb");
}

TEST_CASE("events: what could not be carried out is a failure, not a refusal") {
  const Event event = event_of(Kind::kModelRefused, make_error(ErrorCode::kNotFound, "no file"));
  CHECK(event.outcome == Outcome::kFailed);
}

TEST_CASE("events: outcomes have names that find them again") {
  for (const Outcome outcome : {Outcome::kSuccess, Outcome::kRefused, Outcome::kFailed}) {
    CHECK(find_outcome(name_of(outcome)) == outcome);
  }
  CHECK_FALSE(find_outcome("maybe").has_value());
}

TEST_CASE("events: the recording sink remembers in order") {
  RecordingSink sink;
  REQUIRE(sink.append({.kind = Kind::kServerStarted}).has_value());
  REQUIRE(sink.append({.kind = Kind::kServerStopped}).has_value());
  const auto events = sink.events();
  REQUIRE(events.size() == 2);
  CHECK(events[0].kind == Kind::kServerStarted);
  CHECK(events[1].kind == Kind::kServerStopped);
}
