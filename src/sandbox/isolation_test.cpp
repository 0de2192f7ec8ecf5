// SPDX-License-Identifier: Apache-2.0
#include "sandbox/isolation.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::sandbox;

namespace {

IsolationReport with(std::initializer_list<Mechanism> active) {
  IsolationReport report;
  for (const Mechanism each : active) report.add_active(each);
  return report;
}

IsolationReport everything() { return IsolationReport::from_bits(~0u); }

IsolationReport all_but(Mechanism missing) {
  return IsolationReport::from_bits(everything().bits() & ~(1u << static_cast<unsigned>(missing)));
}

}  // namespace

TEST_CASE("isolation: an empty report is below the floor") {
  CHECK(IsolationReport{}.level() == IsolationLevel::kNone);
}

TEST_CASE("isolation: each mechanism of the floor is needed for every level") {
  for (const Mechanism each :
       {Mechanism::kLandlock, Mechanism::kSeccomp, Mechanism::kNoNewPrivileges,
        Mechanism::kNoCapabilities, Mechanism::kRlimits}) {
    CAPTURE(name_of(each));
    CHECK(all_but(each).level() == IsolationLevel::kNone);
  }
}

TEST_CASE("isolation: each namespace and the empty root make the difference to a container") {
  for (const Mechanism each :
       {Mechanism::kEmptyRoot, Mechanism::kPidNamespace, Mechanism::kNetNamespace,
        Mechanism::kIpcNamespace, Mechanism::kUtsNamespace}) {
    CAPTURE(name_of(each));
    CHECK(all_but(each).level() == IsolationLevel::kContainer);
  }
}

TEST_CASE("isolation: each cgroup limit makes the difference to full") {
  CHECK(everything().level() == IsolationLevel::kFull);
  for (const Mechanism each :
       {Mechanism::kMemoryLimit, Mechanism::kCpuLimit, Mechanism::kPidsLimit}) {
    CAPTURE(name_of(each));
    CHECK(all_but(each).level() == IsolationLevel::kNoCgroup);
  }
}

TEST_CASE("isolation: require refuses a level below the minimum and names what is missing") {
  const IsolationReport report = all_but(Mechanism::kMemoryLimit);
  CHECK(require(report, IsolationLevel::kNoCgroup).has_value());
  const auto refused = require(report, IsolationLevel::kFull);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kSandboxLevel);
  CHECK(refused.error().message.find("cgroup_memory") != std::string::npos);
  CHECK(refused.error().expected == "full");
  CHECK(refused.error().actual == "no-cgroup");
}

TEST_CASE("isolation: no minimum is low enough to serve below the floor") {
  const auto refused = require(IsolationReport{}, IsolationLevel::kNone);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kSandboxLevel);
}

TEST_CASE("isolation: confirm refuses a process that lacks what the machine promised") {
  const auto promised = with({Mechanism::kLandlock, Mechanism::kEmptyRoot});
  CHECK(confirm(promised, promised).has_value());
  CHECK(confirm(promised, everything()).has_value());
  const auto refused = confirm(promised, with({Mechanism::kLandlock}));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kSandboxLevel);
  CHECK(refused.error().message.find("empty_root") != std::string::npos);
}

TEST_CASE("isolation: a report survives its bits") {
  const auto report = with({Mechanism::kSeccomp, Mechanism::kPidsLimit});
  const auto copy = IsolationReport::from_bits(report.bits());
  CHECK(copy.has(Mechanism::kSeccomp));
  CHECK(copy.has(Mechanism::kPidsLimit));
  CHECK_FALSE(copy.has(Mechanism::kLandlock));
}

TEST_CASE("isolation: merging lets active win over unavailable, in either order") {
  IsolationReport no;
  no.add_unavailable(Mechanism::kSeccomp, "why");
  IsolationReport yes;
  yes.add_active(Mechanism::kSeccomp);
  IsolationReport first = no;
  first.merge(yes);
  CHECK(first.has(Mechanism::kSeccomp));
  yes.merge(no);
  CHECK(yes.has(Mechanism::kSeccomp));
}

TEST_CASE("isolation: levels have names and are found by them") {
  for (const auto level : {IsolationLevel::kNone, IsolationLevel::kContainer,
                           IsolationLevel::kNoCgroup, IsolationLevel::kFull}) {
    CHECK(find_isolation_level(name_of(level)) == level);
  }
  CHECK_FALSE(find_isolation_level("off").has_value());
}
