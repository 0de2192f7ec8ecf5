// SPDX-License-Identifier: Apache-2.0
#include "inventory/lock_check.h"

#include <doctest/doctest.h>

#include "inventory/builder.h"
#include "inventory/identity.h"
#include "inventory/lock_files.h"
#include "inventory/lock_platform.h"

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
  child.wanted_by_need = true;
  CHECK(kinds(holding({child, parent}), holding({})) == Kinds{});
  CHECK(kinds(holding({child, parent}), holding({package("p", "1", {})})) == Kinds{Kind::kMissing});
}

namespace {

std::vector<std::string> missing(const Result<Inventory>& lock, const Inventory& environment) {
  REQUIRE(lock);
  std::vector<std::string> names;
  for (const Difference& one :
       check_lock(*lock, environment, {.python_version = "3.11.2"}).differences) {
    names.push_back((one.kind == Kind::kMissing ? "" : std::string(name_of(one.kind)) + " ") +
                    one.name);
  }
  return names;
}

using Names = std::vector<std::string>;

std::string uv_package(const std::string& name, const std::string& needs,
                       const std::string& more = "") {
  return "[[package]]\nname = \"" + name +
         "\"\nversion = \"1\"\nsource = { registry = \"r\" }\ndependencies = [" + needs +
         "]\nsdist = { url = \"u\", hash = \"sha256:" + kHash + "\" }\n" + more;
}

std::string uv_project(const std::string& needs, const std::string& more = "") {
  return "version = 1\n[[package]]\nname = \"app\"\nversion = \"0\"\n"
         "source = { virtual = \".\" }\ndependencies = [" +
         needs + "]\n" + more;
}

}  // namespace

TEST_CASE("lock check: packages that need each other are looked for, whatever the format") {
  const std::string wheel =
      "wheels = [{ url = \"u\", hashes = { sha256 = \"" + kHash + "\" } }]\n";
  const Names both{"help", "sphinx"};
  CHECK(missing(read_pylock("lock-version = \"1.0\"\ncreated-by = \"t\"\n"
                            "[[packages]]\nname = \"sphinx\"\nversion = \"7.2\"\n"
                            "dependencies = [{ name = \"help\" }]\n" +
                                wheel +
                                "[[packages]]\nname = \"help\"\nversion = \"1\"\n"
                                "dependencies = [{ name = \"sphinx\" }]\n" +
                                wheel,
                            "x"),
                holding({})) == both);
  CHECK(missing(read_uv_lock(uv_project("{ name = \"sphinx\" }") +
                                 uv_package("sphinx", "{ name = \"help\" }") +
                                 uv_package("help", "{ name = \"sphinx\" }"),
                             "x"),
                holding({})) == both);
  // Even where nothing says why they are in the lock.
  CHECK(missing(read_uv_lock(uv_project("") + uv_package("sphinx", "{ name = \"help\" }") +
                                 uv_package("help", "{ name = \"sphinx\" }"),
                             "x"),
                holding({})) == both);
  CHECK(missing(read_poetry_lock("[[package]]\nname = \"sphinx\"\nversion = \"7.2\"\n"
                                 "[package.dependencies]\nhelp = \"*\"\n"
                                 "[[package]]\nname = \"help\"\nversion = \"1\"\n"
                                 "[package.dependencies]\nsphinx = \"*\"\n"
                                 "[metadata]\nlock-version = \"2.0\"\n",
                                 "x"),
                holding({})) == both);
}

TEST_CASE("lock check: what an absent package needs is looked for as well") {
  const auto lock = read_uv_lock(uv_project("{ name = \"a\" }") +
                                     uv_package("a", "{ name = \"b\" }") + uv_package("b", ""),
                                 "x");
  CHECK(missing(lock, holding({})) == Names{"a", "b"});
}

TEST_CASE("lock check: what is needed elsewhere only may be absent, and so may what it needs") {
  const std::string elsewhere = "marker = \"sys_platform == 'win32'\"";
  const auto lock = read_uv_lock(uv_project("{ name = \"a\" }") +
                                     uv_package("a", "{ name = \"w\", " + elsewhere + " }") +
                                     uv_package("w", "{ name = \"x\" }") +
                                     uv_package("x", "{ name = \"w\" }"),
                                 "x");
  CHECK(missing(lock, holding({})) == Names{"a"});
  CHECK(missing(lock, holding({package("a", "1", {}), package("x", "1", {})})) ==
        Names{"extra x"});
  CHECK(missing(read_uv_lock(uv_project("{ name = \"w\", " + elsewhere + " }") +
                                 uv_package("w", "{ name = \"x\" }") + uv_package("x", ""),
                             "x"),
                holding({}))
            .empty());
  // pylock.toml tells it package by package: needs do not matter.
  const std::string wheel =
      "wheels = [{ url = \"u\", hashes = { sha256 = \"" + kHash + "\" } }]\n";
  CHECK(missing(read_pylock("lock-version = \"1.0\"\ncreated-by = \"t\"\n"
                            "[[packages]]\nname = \"w\"\nversion = \"1\"\n" +
                                elsewhere + "\ndependencies = [{ name = \"x\" }]\n" + wheel +
                                "[[packages]]\nname = \"x\"\nversion = \"1\"\n" + wheel,
                            "x"),
                holding({})) == Names{"x"});
}

TEST_CASE("lock check: a group makes nothing optional that the project needs anyway") {
  const auto lock =
      read_uv_lock(uv_project("{ name = \"a\" }, { name = \"b\" }",
                              "[package.dev-dependencies]\ndev = [{ name = \"b\" }, "
                              "{ name = \"c\" }, { name = \"d\" }]\n") +
                       uv_package("a", "{ name = \"c\" }") + uv_package("b", "") +
                       uv_package("c", "") + uv_package("d", "{ name = \"e\" }") +
                       uv_package("e", ""),
                   "x");
  CHECK(missing(lock, holding({})) == Names{"a", "b", "c"});
  CHECK(missing(lock, holding({package("d", "1", {})})) == Names{"a", "b", "c", "e"});
  CHECK(check_lock(*lock, holding({}), {.python_version = "3.11.2"}).optional == 2);
  const auto poetry = [](const std::string& groups, const std::string& markers) {
    return read_poetry_lock("[[package]]\nname = \"a\"\nversion = \"1\"\ngroups = " + groups +
                                "\nmarkers = " + markers +
                                "\n[metadata]\nlock-version = \"2.1\"\n",
                            "x");
  };
  const std::string off = "\"sys_platform == 'win32'\"", on = "\"sys_platform == 'linux'\"";
  CHECK(missing(poetry("[\"main\", \"dev\"]", "{ dev = " + off + " }"), holding({})) == Names{"a"});
  CHECK(missing(poetry("[\"main\", \"dev\"]", "{ main = " + off + ", dev = " + on + " }"),
                holding({}))
            .empty());
  CHECK(missing(poetry("[\"dev\"]", "{ dev = " + on + " }"), holding({})).empty());
}

TEST_CASE("lock check: extras bring what they bring only where somebody asks for them") {
  const std::string fast = "[package.optional-dependencies]\nfast = [{ name = \"f\" }]\n";
  const auto lock = [&](const std::string& project) {
    return read_uv_lock(project + uv_package("a", "", fast) + uv_package("f", ""), "x");
  };
  const std::string plain = "{ name = \"a\" }", asking = "{ name = \"a\", extra = [\"fast\"] }";
  CHECK(missing(lock(uv_project(asking)), holding({})) == Names{"a", "f"});
  CHECK(missing(lock(uv_project(plain, "[package.dev-dependencies]\ndev = [" + asking + "]\n")),
                holding({})) == Names{"a"});
}

TEST_CASE("lock check: groups that are installed by default are looked for") {
  const auto lock = [](const std::string& groups) {
    return read_pylock("lock-version = \"1.0\"\ncreated-by = \"t\"\n" + groups +
                           "[[packages]]\nname = \"a\"\nversion = \"1\"\n"
                           "marker = \"'dev' in dependency_groups\"\n"
                           "wheels = [{ url = \"u\", hashes = { sha256 = \"" +
                           kHash + "\" } }]\n",
                       "x");
  };
  CHECK(missing(lock("default-groups = [\"Dev\"]\n"), holding({})) == Names{"a"});
  CHECK(missing(lock(""), holding({})).empty());
}

TEST_CASE("lock check: a version that is locked for another Python is another version") {
  Component old = package("a", "1"), recent = package("a", "2");
  old.properties = {{"marker", "python_version < '3.9'"}};
  recent.properties = {{"marker", "python_version >= '3.9'"}};
  CHECK(kinds(holding({old, recent}), holding({package("a", "1", {})})) == Kinds{Kind::kVersion});
  CHECK(kinds(holding({old, recent}), holding({package("a", "2", {})})) == Kinds{});
  CHECK(kinds(holding({old}), holding({package("a", "1", {})})) == Kinds{Kind::kExtra});
}

TEST_CASE("lock check: a folder of the workspace that a package needs is looked for") {
  const auto lock = read_uv_lock(
      uv_project("{ name = \"member\" }") +
          "[[package]]\nname = \"member\"\nversion = \"1\"\nsource = { editable = \"m\" }\n"
          "dependencies = [{ name = \"b\" }]\n" +
          uv_package("b", ""),
      "x");
  CHECK(missing(lock, holding({})) == Names{"b", "member"});
}

TEST_CASE("lock check: a lock that could not be read in full passes nothing") {
  Inventory lock = holding({package("a", "1")});
  lock.observations = {
      {Observation::Kind::kUnreadable, "", "f", make_error(ErrorCode::kDepsFile, "x")}};
  CHECK(kinds(lock, holding({package("a", "1", {})})) == Kinds{Kind::kUnreadable});
}

TEST_CASE("lock check: a lock for another Python or platform is refused") {
  Inventory lock = holding({package("a", "1")});
  const Inventory environment = holding({package("a", "1", {})});
  lock.terms.requires_python = ">=3.12";
  CHECK(kinds(lock, environment) == Kinds{Kind::kNotFor});
  CHECK(kinds(lock, environment, {}) == Kinds{Kind::kUnreadable});
  lock.terms.requires_python = "==3.11.*";
  CHECK(kinds(lock, environment) == Kinds{});
  CHECK(kinds(lock, environment, {.python_version = "3.11"}) == Kinds{});
  lock.terms.environments = {"sys_platform == 'darwin'"};
  CHECK(kinds(lock, environment) == Kinds{Kind::kNotFor});
  lock.terms.environments.emplace_back("sys_platform == 'linux'");
  CHECK(kinds(lock, environment) == Kinds{});
  CHECK(read_uv_lock("requires-python = \">=3.12\"\n" + uv_project(""), "x")
            ->terms.requires_python == ">=3.12");
  CHECK(read_pylock("lock-version = \"1.0\"\ncreated-by = \"t\"\nrequires-python = \"x\"\n"
                    "packages = []\n",
                    "x")
            .error()
            .code == ErrorCode::kDepsFile);
}

TEST_CASE("lock platform: names, and the terms of a lock for this machine") {
  const auto rows = lock_platforms({"linux-x86_64", "macos-arm64", "linux-x86_64"});
  REQUIRE(rows);
  CHECK(rows->size() == 2);
  CHECK(lock_platforms({"amiga"}).error().code == ErrorCode::kUsage);
  CHECK(terms_for("3.11.7", *rows).requires_python == "==3.11.*");
  CHECK(terms_for("3.11.7", *rows).environments.size() == 2);
  Inventory lock = holding({});
  lock.terms = terms_for("3.11.7", {});
  CHECK(kinds(lock, holding({})) == Kinds{});
  CHECK(kinds(lock, holding({}), {.python_version = "3.12.0"}) == Kinds{Kind::kNotFor});
  CHECK(terms_for("", {}).requires_python.empty());
}
