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
  REQUIRE(event.attributes.size() == 3);
  CHECK(*event.find(Attr::kSubject) == "model.safetensors");
  CHECK(*event.find(Attr::kExpected) == "aa");
  CHECK(*event.find(Attr::kActual) == "bb");
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
  REQUIRE(sink.append({.kind = Kind::kLogRecovered}).has_value());
  REQUIRE(sink.append({.kind = Kind::kServerStopped}).has_value());
  const auto events = sink.events();
  REQUIRE(events.size() == 2);
  CHECK(events[0].kind == Kind::kLogRecovered);
  CHECK(events[1].kind == Kind::kServerStopped);
}

TEST_CASE("events: an attribute takes values of its own type only, and replaces its older value") {
  static_assert(FitsAttr<std::string, const char*> && FitsAttr<std::string, std::string>);
  static_assert(!FitsAttr<std::string, int> && !FitsAttr<std::string, bool>);
  static_assert(FitsAttr<std::int64_t, std::uint16_t> && !FitsAttr<std::int64_t, bool>);
  static_assert(!FitsAttr<std::int64_t, double> && !FitsAttr<std::int64_t, std::string>);
  static_assert(FitsAttr<bool, bool> && !FitsAttr<bool, int> && !FitsAttr<bool, const char*>);
  Event event{.kind = Kind::kInferenceDone};
  event.set(Attr::kStatus, 200).set(Attr::kStatus, 503);
  CHECK(event.attributes.size() == 1);
  CHECK(*event.find(Attr::kStatus) == 503);
  CHECK(!event.set_untyped(AttrId::kStatus, std::string("503")));
  CHECK(event.find(Attr::kRequest) == nullptr);
}

TEST_CASE("events: what a kind must say and does not is named") {
  Event event{.kind = Kind::kWorkerDied};
  event.set(Attr::kProcess, "worker");
  CHECK(missing_attributes(event) == std::vector<AttrId>{AttrId::kPid});
  CHECK(missing_attributes(event.set(Attr::kPid, 7)).empty());
  CHECK(missing_attributes({.kind = Kind::kServerStopped}).empty());
}

TEST_CASE("events: attributes have names of their own, and texts have bounds") {
  std::set<std::string_view> names{"kind", "outcome", "code", "model", "truncated"};
  for (const AttrRow& row : all_attributes()) {
    CHECK(names.insert(row.name).second);
    CHECK(&describe(row.id) == find_attribute(row.name));
    CHECK(&describe(row.id) == find_attribute(static_cast<std::uint16_t>(row.id)));
    CHECK((row.bytes_max > 0) == (row.type == AttrType::kText));
    CHECK(!row.meaning.empty());
  }
  CHECK(find_attribute("unheard_of") == nullptr);
  CHECK(find_attribute(std::uint16_t{60000}) == nullptr);
}

TEST_CASE("events: a mistyped kind finds its neighbours") {
  CHECK(kinds_near("model.refusd").front() == "model.refused");
  CHECK(kinds_near("inference.complete").front() == "inference.completed");
  CHECK(find_severity(severity_name(4)) == 4);
  CHECK(find_severity("loud") == 0);
}
