// SPDX-License-Identifier: Apache-2.0
#include "mirror/policy.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "log/files.h"

using namespace mlxguard;
using namespace mlxguard::mirror;

namespace {

constexpr std::int64_t kDayMs = 86'400'000;
constexpr WallTime kNow{std::chrono::milliseconds(100 * kDayMs)};

ProjectFile file_of_age(std::int64_t days) {
  ProjectFile file;
  file.filename = "name-1.0-py3-none-any.whl";
  file.version = "1.0";
  file.sha256 = std::string(64, 'a');
  file.upload_time_ms = (100 - days) * kDayMs;
  file.first_seen_ms = 99 * kDayMs;
  return file;
}

Judgement found(Verdict verdict, std::string code) {
  return {{{verdict, std::move(code), "because"}}};
}

Decision decide(const ProjectFile& file, const Judgement& release, const Judgement& inside,
                PolicyOptions options = {}, const OperatorList& said = {}) {
  return Policy(std::move(options)).decide("name", file, said, release, &inside, kNow);
}

/// A folder with an operator's list, removed at the end.
struct Said {
  Said() { std::filesystem::remove_all(folder); }
  ~Said() { std::filesystem::remove_all(folder); }
  OperatorList list(OperatorAction action, std::string_view selector) {
    REQUIRE(OperatorList::add(folder, {action, *Selector::parse(selector), "my reason", 1}));
    return *OperatorList::load(folder);
  }
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("mirror_policy_" + std::to_string(::getpid()));
};

}  // namespace

TEST_CASE("policy: a clean file that is old enough is served") {
  const Decision decision = decide(file_of_age(30), {}, {});
  CHECK(decision.action == Action::kServe);
  CHECK(decision.verdict == Verdict::kClean);
}

TEST_CASE("policy: a vulnerable file is blocked with the advisory's name, however old") {
  for (const int days : {0, 30}) {
    const Decision decision =
        decide(file_of_age(days), found(Verdict::kVulnerable, "PYSEC-1-2"), {});
    CHECK(decision.action == Action::kBlock);
    CHECK(decision.code == ErrorCode::kMirrorBlocked);
    CHECK(decision.reason == "name 1.0 is vulnerable: PYSEC-1-2");
  }
}

TEST_CASE("policy: what is inside counts as much as the name") {
  const Decision decision = decide(file_of_age(30), {}, found(Verdict::kQuarantined, "path-code"));
  CHECK(decision.action == Action::kBlock);
  CHECK(decision.code == ErrorCode::kMirrorBlocked);
  CHECK(decision.reason.find("path-code") != std::string::npos);
}

TEST_CASE("policy: could-not-tell is held, unless that very reason is accepted") {
  const Judgement unknown = found(Verdict::kCouldNotTell, "unlisted-package");
  CHECK(decide(file_of_age(30), unknown, {}).action == Action::kHold);
  CHECK(decide(file_of_age(30), unknown, {}).code == ErrorCode::kMirrorHeld);
  CHECK(decide(file_of_age(30), unknown, {}, {.accepted = {Unknown::kVersion}}).action ==
        Action::kHold);
  const Decision served = decide(file_of_age(30), unknown, {}, {.accepted = {Unknown::kUnlisted}});
  CHECK(served.action == Action::kServe);
  CHECK(served.verdict == Verdict::kCouldNotTell);
  CHECK(served.reason.find("unlisted-package") != std::string::npos);
  // A reason that has no name cannot be accepted by any.
  CHECK(decide(file_of_age(30), found(Verdict::kCouldNotTell, "other"), {},
               {.accepted = {Unknown::kUnlisted, Unknown::kVersion}})
            .action == Action::kHold);
}

TEST_CASE("policy: a file without a digest is held") {
  ProjectFile file = file_of_age(30);
  file.sha256.clear();
  CHECK(decide(file, {}, {}).action == Action::kHold);
  CHECK(decide(file, {}, {}, {.accepted = {Unknown::kNoDigest}}).action == Action::kServe);
}

TEST_CASE("policy: a file inside the cooldown is held until its end and hidden") {
  const Decision decision = decide(file_of_age(6), {}, {});
  CHECK(decision.action == Action::kHold);
  CHECK(decision.until_ms == 101 * kDayMs);
  CHECK(decide(file_of_age(7), {}, {}).action == Action::kServe);
  CHECK(decide(file_of_age(-1), {}, {}).action == Action::kHold);  // from the future
  CHECK(decide(file_of_age(0), {}, {}, {.cooldown = std::chrono::milliseconds(0)}).action ==
        Action::kServe);
  const Policy policy({});
  CHECK(policy.shown("name", file_of_age(6), {}, kNow) == Policy::Shown::kInCooldown);
  CHECK(policy.shown("name", file_of_age(7), {}, kNow) == Policy::Shown::kYes);
}

TEST_CASE(
    "policy: where upstream gives no time, the cooldown begins when the file was first seen") {
  ProjectFile file = file_of_age(30);
  file.upload_time_ms.reset();
  CHECK(decide(file, {}, {}).action == Action::kHold);
  file.first_seen_ms = 90 * kDayMs;
  CHECK(decide(file, {}, {}).action == Action::kServe);
}

TEST_CASE("policy: only what the lock names by digest is allowed, and no release changes that") {
  AllowList list;
  list.add("Name", std::string(64, 'a'));
  PolicyOptions options;
  options.allow_list = list;
  CHECK(decide(file_of_age(30), {}, {}, options).action == Action::kServe);
  ProjectFile other = file_of_age(30);
  other.sha256 = std::string(64, 'b');
  CHECK(decide(other, {}, {}, options).code == ErrorCode::kMirrorNotAllowed);
  CHECK(Policy(options).shown("name", other, {}, kNow) == Policy::Shown::kNotAllowed);
  Said said;
  CHECK(decide(other, {}, {}, options, said.list(OperatorAction::kRelease, "name")).code ==
        ErrorCode::kMirrorNotAllowed);
  other.sha256.clear();
  CHECK(decide(other, {}, {}, options).code == ErrorCode::kMirrorNotAllowed);
}

TEST_CASE("policy: the operator's release overrides, the operator's quarantine blocks") {
  Said said;
  const Judgement bad = found(Verdict::kVulnerable, "PYSEC-1-2");
  const Decision released =
      decide(file_of_age(0), bad, {}, {}, said.list(OperatorAction::kRelease, "NAME==1.0"));
  CHECK(released.action == Action::kServe);
  CHECK(released.by_operator);
  CHECK(released.verdict == Verdict::kVulnerable);
  const Decision blocked =
      decide(file_of_age(30), {}, {}, {}, said.list(OperatorAction::kQuarantine, "name==1.0"));
  CHECK(blocked.code == ErrorCode::kMirrorBlocked);
  CHECK(blocked.verdict == Verdict::kQuarantined);
  CHECK(blocked.reason.find("my reason") != std::string::npos);
  // The latest entry that matches counts, by whatever selector.
  CHECK(decide(file_of_age(30), {}, {}, {},
               said.list(OperatorAction::kRelease, "sha256:" + std::string(64, 'a')))
            .action == Action::kServe);
}

TEST_CASE("policy: a selector's version is compared as a version, its digest with the bytes seen") {
  Said said;
  for (const char* selector : {"name==1.0", "name==1.0.0", "name==v1.0"}) {
    CAPTURE(selector);
    const OperatorList list = said.list(OperatorAction::kQuarantine, selector);
    ProjectFile file = file_of_age(30);
    for (const char* version : {"1.0", "1", "1.0.0", "1.0+cpu"}) {
      CAPTURE(version);
      file.version = version;
      CHECK(decide(file, {}, {}, {}, list).action == Action::kBlock);
    }
    for (const char* version : {"1.0.1", "1.0.post1", "1.0rc1"}) {
      CAPTURE(version);
      file.version = version;
      CHECK(decide(file, {}, {}, {}, list).action == Action::kServe);
    }
  }
  ProjectFile undigested = file_of_age(30);
  undigested.sha256.clear();
  undigested.content_sha256 = std::string(64, 'b');
  PolicyOptions options;
  options.accepted = {Unknown::kNoDigest};
  Said bytes;
  const OperatorList list =
      bytes.list(OperatorAction::kQuarantine, "sha256:" + undigested.content_sha256);
  CHECK(decide(undigested, {}, {}, options, list).action == Action::kBlock);
}

TEST_CASE("policy: a wheel whose METADATA is not the one beside it is quarantined") {
  ProjectFile file = file_of_age(30);
  file.metadata_sha256 = std::string(64, 'c');
  Judgement inside;
  inside.metadata_sha256 = file.metadata_sha256;
  CHECK(decide(file, {}, inside).action == Action::kServe);
  inside.metadata_sha256 = std::string(64, 'd');
  CHECK(decide(file, {}, inside).code == ErrorCode::kMirrorBlocked);
  inside.metadata_sha256.clear();
  CHECK(decide(file, {}, inside).verdict == Verdict::kQuarantined);
}

TEST_CASE("policy: other bytes under a known name are as new as they are, whatever upstream says") {
  ProjectPage before, now;
  before.files = {file_of_age(30), file_of_age(30)};
  before.files[1].filename = "name-1.1-py3-none-any.whl";
  for (ProjectFile& file : before.files) file.url = "https://index.example/" + file.filename;
  now.files = before.files;
  now.files[0].sha256 = std::string(64, 'e');
  keep_first_seen(now, &before, 100 * kDayMs);
  CHECK(decide(now.files[0], {}, {}).code == ErrorCode::kMirrorHeld);
  CHECK(decide(now.files[1], {}, {}).action == Action::kServe);
  now.project = "name";
  ProjectPage later = now;  // still so a day after, and after a restart
  keep_first_seen(later, &now, 101 * kDayMs);
  const auto again = from_record(to_record(later));
  REQUIRE(again);
  CHECK(again->files.size() == 2);
  CHECK(again->files[0].changed_ms == 100 * kDayMs);
  CHECK(again->files[1].changed_ms == 0);
}

TEST_CASE("policy: an operator's list that is damaged is an error, not an empty list") {
  Said said;
  (void)said.list(OperatorAction::kQuarantine, "name");
  for (const std::string_view damaged :
       {"{", "[]", "{}",
        R"({"entries":[{"action":"forget","selector":"a","reason":"","time_ms":1}]})",
        R"({"entries":[{"action":"release","selector":"../a","reason":"","time_ms":1}]})"}) {
    REQUIRE(log::replace_file(OperatorList::file_in(said.folder).string(), damaged));
    const auto list = OperatorList::load(said.folder);
    REQUIRE_FALSE(list);
    CHECK(list.error().code == ErrorCode::kConfig);
  }
}

TEST_CASE("policy: selectors are names, versions and digests") {
  CHECK(Selector::parse("Foo_Bar")->text() == "foo-bar");
  CHECK(Selector::parse("foo==1.0+x")->text() == "foo==1.0+x");
  for (const std::string_view bad :
       {"", "a b", "../x", "foo==", "sha256:xyz", "foo== 1", "foo>=1"}) {
    CHECK(Selector::parse(bad).error().code == ErrorCode::kUsage);
  }
}
