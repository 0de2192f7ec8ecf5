// SPDX-License-Identifier: Apache-2.0
#include "inventory/lock_check.h"

#include <doctest/doctest.h>

#include "inventory/builder.h"
#include "inventory/identity.h"
#include "inventory/lock_files.h"
#include "inventory/lock_write.h"

using namespace mlxguard;
using namespace mlxguard::inventory;
using Kind = Difference::Kind;

namespace {

const std::string kHash(64, 'a'), kOther(64, 'b');

Component package(const std::string& name, const std::string& version,
                  std::vector<std::string> hashes = {"sha256:" + kHash}) {
  Component component;
  component.name = name;
  component.version = version;
  component.purl = pypi_purl(name, version);
  component.hashes = std::move(hashes);
  component.direct = true;
  return component;
}

Inventory holding(std::vector<Component> components) {
  Inventory inventory;
  inventory.components = std::move(components);
  return inventory;
}

std::vector<Kind> kinds(const Inventory& lock, const Inventory& environment,
                        LockCheckOptions options = {.python_version = "3.11.2"}) {
  std::vector<Kind> found;
  for (const Difference& one : check_lock(lock, environment, options).differences) {
    found.push_back(one.kind);
  }
  return found;
}

using Kinds = std::vector<Kind>;

}  // namespace

TEST_CASE("lock check: the same packages pass, whatever their versions' spelling") {
  CHECK(kinds(holding({package("a", "1.0")}), holding({package("a", "1", {})})) == Kinds{});
}

TEST_CASE("lock check: missing, extra and other versions are told apart") {
  const Inventory lock = holding({package("a", "1"), package("b", "1")});
  CHECK(kinds(lock, holding({package("a", "1", {})})) == Kinds{Kind::kMissing});
  CHECK(kinds(lock, holding({package("a", "2", {}), package("b", "1", {})})) ==
        Kinds{Kind::kVersion});
  const Inventory more =
      holding({package("a", "1", {}), package("b", "1", {}), package("pip", "9", {})});
  CHECK(kinds(lock, more) == Kinds{Kind::kExtra});
  CHECK(kinds(lock, more, {.allowed = {"pip"}, .python_version = "3.11.2"}) == Kinds{});
}

TEST_CASE("lock check: a lock without hashes or versions is no proof") {
  CHECK(kinds(holding({package("a", "1", {})}), holding({package("a", "1", {})})) ==
        Kinds{Kind::kHash});
  CHECK(kinds(holding({package("a", "1", {})}), holding({package("a", "1", {})}),
              {.hashes = LockCheckOptions::Hashes::kNotRequired}) == Kinds{});
  CHECK(kinds(holding({package("a", "")}), holding({package("a", "1", {})})) ==
        Kinds{Kind::kVersion});
}

TEST_CASE("lock check: archives and places that are not locked") {
  Component here = package("a", "1", {"sha256:" + kOther});
  here.properties = {{"source", "archive"}};
  CHECK(kinds(holding({package("a", "1")}), holding({here})) == Kinds{Kind::kHash});
  here.hashes = {"sha256:" + kHash};
  CHECK(kinds(holding({package("a", "1")}), holding({here})) == Kinds{});
  here.properties = {{"source", "editable"}};
  CHECK(kinds(holding({package("a", "1")}), holding({here})) == Kinds{Kind::kSource});
  Component locked = package("a", "1", {});
  locked.properties = {{"commit", "x"}, {"source", "vcs"}};
  here.properties = {{"commit", "y"}, {"source", "vcs"}};
  CHECK(kinds(holding({locked}), holding({here})) == Kinds{Kind::kSource});
}

TEST_CASE("lock check: files changed together with their RECORD show by the content digest") {
  Component locked = package("a", "1"), here = package("a", "1", {});
  locked.properties = {{"record_digest", "sha256:1"}};
  here.properties = {{"record_digest", "sha256:2"}};
  CHECK(kinds(holding({locked}), holding({here})) == Kinds{Kind::kContent});
  CHECK(kinds(holding({package("a", "1")}), holding({here}),
              {.content_of_wheel = {{"sha256:" + kHash, "sha256:1"}}}) == Kinds{Kind::kContent});
  here.properties = {{"record_digest", "sha256:1"}};
  const LockCheck check = check_lock(holding({locked}), holding({here}), {});
  CHECK(check.differences.empty());
  CHECK(check.contents == 1);
}

TEST_CASE("lock check: what the environment's reader saw counts") {
  Inventory environment = holding({package("a", "1", {})});
  const auto error = make_error(ErrorCode::kDepsRecord, "x");
  using Seen = Observation::Kind;
  for (const auto& [seen, kind] : {std::pair{Seen::kRecordMismatch, Kind::kFile},
                                   {Seen::kRecordMissing, Kind::kFile},
                                   {Seen::kUnrecorded, Kind::kFile},
                                   {Seen::kDuplicate, Kind::kFile},
                                   {Seen::kUnreadable, Kind::kUnreadable}}) {
    environment.observations = {{seen, "", "f", error}};
    CHECK(kinds(holding({package("a", "1")}), environment) == Kinds{kind});
  }
  environment.observations = {{Seen::kUnrecorded, "", "f", error}};
  CHECK(kinds(holding({package("a", "1")}), environment,
              {.unrecorded = LockCheckOptions::Unrecorded::kAllowed}) == Kinds{});
}

TEST_CASE("lock check: code that runs by itself and belongs to no package is never allowed") {
  Inventory environment = holding({package("a", "1", {})});
  const auto error = make_error(ErrorCode::kDepsRecord, "x");
  const LockCheckOptions lax{.unrecorded = LockCheckOptions::Unrecorded::kAllowed};
  for (const auto seen : {Observation::Kind::kPathCode, Observation::Kind::kInstallHook}) {
    environment.observations = {{seen, "", "x.pth", error}};
    CHECK(kinds(holding({package("a", "1")}), environment, lax) == Kinds{Kind::kFile});
    environment.observations = {{seen, pypi_purl("a", "1"), "x.pth", error}};
    CHECK(kinds(holding({package("a", "1")}), environment) == Kinds{});
  }
}

TEST_CASE("lock check: markers and what nobody installed wants may be absent") {
  Component locked = package("w", "1");
  locked.properties = {{"marker", "sys_platform == 'win32'"}};
  CHECK(kinds(holding({locked}), holding({})) == Kinds{});
  locked.properties = {{"marker", "python_version < '3.9'"}};
  CHECK(kinds(holding({locked}), holding({})) == Kinds{});
  CHECK(kinds(holding({locked}), holding({}), {}) ==
        Kinds{Kind::kMissing});  // which Python is not told
  Component parent = package("p", "1"), child = package("c", "1");
  parent.properties = {{"optional", "true"}};
  parent.needs = {child.purl};
  child.direct = false;
  CHECK(kinds(holding({child, parent}), holding({})) == Kinds{});
  CHECK(kinds(holding({child, parent}), holding({package("p", "1", {})})) == Kinds{Kind::kMissing});
}

TEST_CASE("lock check: a lock that could not be read in full passes nothing") {
  Inventory lock = holding({package("a", "1")});
  lock.observations = {
      {Observation::Kind::kUnreadable, "", "f", make_error(ErrorCode::kDepsFile, "x")}};
  CHECK(kinds(lock, holding({package("a", "1", {})})) == Kinds{Kind::kUnreadable});
}

TEST_CASE("lock write: what is written reads back") {
  const std::string report =
      R"({"version":"1","install":[{"metadata":{"name":"B.b","version":"2.0","requires_dist":["a","x; extra=='e'"]},
      "download_info":{"url":"https://u:p@h/B.b-2.0-py3-none-any.whl#f","archive_info":{"hashes":{"sha256":")" +
      kHash +
      R"("}}}},{"metadata":{"name":"a","version":"1"},"download_info":{"url":"https://h/a-1.tar.gz",
      "archive_info":{"hashes":{"sha256":")" +
      kOther + R"("}}},"is_yanked":true}]})";
  auto entries = read_pip_report(report);
  REQUIRE(entries);
  REQUIRE(entries->size() == 2);
  CHECK((*entries)[0].yanked);
  (*entries)[1].record_digest = "sha256:d";
  const auto lock = read_pylock(to_pylock(*entries, ">=3.11"), "x");
  REQUIRE(lock);
  REQUIRE(lock->components.size() == 2);
  const Component& b = lock->components[1];
  CHECK(b.purl == "pkg:pypi/b-b@2.0");
  CHECK(b.needs == std::vector<std::string>{"pkg:pypi/a@1"});
  CHECK(property_of(b, "record_digest") == "sha256:d");
  CHECK(to_pylock(*entries, "").find("u:p@") == std::string::npos);
  const std::string text = to_requirements(*entries);
  const FileReader read = [&](const std::string&, std::uint64_t) -> Result<std::string> {
    return text;
  };
  const auto requirements = read_requirements("r.txt", read, "r.txt");
  REQUIRE(requirements);
  CHECK(requirements->components[1].hashes == std::vector<std::string>{"sha256:" + kHash});
}

TEST_CASE("lock write: a resolver's answer is not believed blindly") {
  const auto code = [](const std::string& text) { return read_pip_report(text).error().code; };
  CHECK(code("[]") == ErrorCode::kJsonType);
  CHECK(code(R"({"version":"2","install":[]})") == ErrorCode::kResolver);
  const auto with = [](const std::string& name, const std::string& url, const std::string& hash) {
    return R"({"version":"1","install":[{"metadata":{"name":")" + name +
           R"(","version":"1"},"download_info":{"url":")" + url +
           R"(","archive_info":{"hashes":{"sha256":")" + hash + R"("}}}}]})";
  };
  CHECK(code(with("a", "https://h/a.whl", "00")) == ErrorCode::kResolver);
  CHECK(code(with("a", "a.whl", kHash)) == ErrorCode::kResolver);
  CHECK(code(with("a", "https://h/a.exe", kHash)) == ErrorCode::kResolver);
  CHECK(code(with("-a", "https://h/a.whl", kHash)) == ErrorCode::kResolver);
  CHECK(read_resolved_pylock("packages = [1]").error().code == ErrorCode::kDepsFile);
}
