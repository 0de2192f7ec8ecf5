// SPDX-License-Identifier: Apache-2.0
#include "inventory/lock_files.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "inventory/builder.h"
#include "inventory/fingerprints.h"
#include "inventory/identity.h"
#include "inventory/knowledge.h"

using namespace mlxguard;
using namespace mlxguard::inventory;

namespace {

const std::string kHash(64, 'a');

const Component* find(const Inventory& inventory, std::string_view name) {
  for (const Component& component : inventory.components) {
    if (component.name == name) return &component;
  }
  return nullptr;
}

using Files = std::map<std::string, std::string>;

Result<Inventory> requirements(Files files) {
  const FileReader read = [files](const std::string& path, std::uint64_t) -> Result<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return make_error(ErrorCode::kNotFound, "no such file");
    return found->second;
  };
  return read_requirements("requirements.txt", read, "requirements.txt");
}

Result<Inventory> one_file(const std::string& text) {
  return requirements({{"requirements.txt", text}});
}

std::string pylock(const std::string& packages) {
  return "lock-version = \"1.0\"\ncreated-by = \"test\"\n" + packages;
}

std::string wheel(const std::string& extra = "") {
  return "[[packages]]\nname = \"A.b\"\nversion = \"1.0\"\n" + extra +
         "wheels = [{ url = \"https://u:p@host/A.b-1.0-py3-none-any.whl\", hashes = { sha256 = \"" +
         kHash + "\" } }]\n";
}

}  // namespace

TEST_CASE("requirements: pins, hashes, markers and continued lines") {
  const auto read = one_file(
      "# a comment\nMLX_lm[train] == 0.32.2 ; python_version >= '3.9' \\\n"
      "    --hash=sha256:" +
      kHash + " \\\n    --hash=SHA256:" + kHash + "\nnumpy>=1.2,<3  # why\n");
  CHECK(!read);
  CHECK(read.error().code ==
        ErrorCode::kRequirement);  // an algorithm in capitals is unknown to pip too
  const auto good = one_file(
      "# a comment\nMLX_lm[train] == 0.32.2 ; python_version >= '3.9' \\\n"
      "    --hash=sha256:" +
      kHash + "\nnumpy>=1.2,<3  # why\n");
  REQUIRE(good);
  REQUIRE(good->components.size() == 2);
  const Component* mlx = find(*good, "mlx-lm");
  REQUIRE(mlx != nullptr);
  CHECK(mlx->purl == "pkg:pypi/mlx-lm@0.32.2");
  CHECK(mlx->hashes == std::vector<std::string>{"sha256:" + kHash});
  CHECK(property_of(*mlx, "marker") == "python_version >= \"3.9\"");
  CHECK(property_of(*mlx, "extra") == "train");
  const Component* numpy = find(*good, "numpy");
  REQUIRE(numpy != nullptr);
  CHECK(numpy->version.empty());
  CHECK(property_of(*numpy, "specifier") == "<3,>=1.2");
}

TEST_CASE("requirements: names with a dot are packages like others") {
  const auto read = one_file("zope.interface==8.7\n");
  REQUIRE(read);
  CHECK(find(*read, "zope-interface") != nullptr);
}

TEST_CASE("requirements: other files by -r, constraints by -c, circles end") {
  const auto read = requirements({{"requirements.txt", "-r sub/more.txt\n-c limits.txt\nb\n"},
                                  {"sub/more.txt", "a==1\n--requirement ../requirements.txt\n"},
                                  {"limits.txt", "b==2\nunused==9\n"}});
  REQUIRE(read);
  REQUIRE(read->components.size() == 2);
  CHECK(find(*read, "a")->version == "1");
  CHECK(find(*read, "b")->version == "2");
}

TEST_CASE("requirements: a file outside of the folder is refused") {
  const auto read = requirements({{"requirements.txt", "-r ../../secret.txt\n"}});
  REQUIRE(!read);
  CHECK(read.error().code == ErrorCode::kDepsFile);
  CHECK(one_file("-r /etc/passwd\n").error().code == ErrorCode::kDepsFile);
}

TEST_CASE("requirements: exact codes for what is not understood") {
  CHECK(one_file("a==1 --hash=md5:abcd\n").error().code == ErrorCode::kRequirement);
  CHECK(one_file("a==1 --hash=sha256:abcd\n").error().code == ErrorCode::kRequirement);
  CHECK(one_file("--what-is-this\n").error().code == ErrorCode::kRequirement);
  CHECK(one_file("a b c\n").error().code == ErrorCode::kSpecifier);
  CHECK(one_file("a==1; python_version ~~ '3'\n").error().code == ErrorCode::kMarker);
  CHECK(one_file("a==1\na==2\n").error().code == ErrorCode::kDepsFile);
  CHECK(one_file("a\xff==1\n").error().code == ErrorCode::kUtf8);
  CHECK(one_file("-r missing.txt\n").error().code == ErrorCode::kNotFound);
}

TEST_CASE("requirements: what has no name is observed, not left out silently") {
  const auto read = one_file(
      "./folder\n-r https://host/requirements.txt\n"
      "git+https://u:secret@host/x@abc#egg=named\n");
  REQUIRE(read);
  CHECK(read->observations.size() == 3);
  REQUIRE(find(*read, "named") != nullptr);
  CHECK(property_of(*find(*read, "named"), "source_url").find("secret") == std::string_view::npos);
}

TEST_CASE("requirements: the file names of archives tell a version") {
  const auto read = one_file(
      "./wheels/Some_Name-1.2+cpu-py3-none-any.whl\nother @ https://h/other-2.0.tar.gz\n"
      "third @ https://h/third-1.0%2Bcpu-py3-none-any.whl#sha256=00\n"
      "fourth @ https://h/archive/main.zip\n");
  REQUIRE(read);
  CHECK(find(*read, "some-name")->version == "1.2+cpu");
  CHECK(find(*read, "other")->version == "2.0");
  CHECK(find(*read, "third")->version == "1.0+cpu");
  CHECK(find(*read, "fourth")->version.empty());
}

TEST_CASE("requirements: a file that does not claim to list everything is incomplete") {
  const auto incomplete = [](const std::string& text) {
    const auto read = one_file(text);
    REQUIRE(read);
    return std::any_of(
        read->observations.begin(), read->observations.end(),
        [](const Observation& one) { return one.kind == Observation::Kind::kIncomplete; });
  };
  CHECK(incomplete("a==1\nb==2\n"));
  CHECK(incomplete("a==1 --hash=sha256:" + kHash + "\nb==2\n"));
  CHECK_FALSE(incomplete("a==1 --hash=sha256:" + kHash + "\n"));
  CHECK_FALSE(incomplete("a==1\n    # via b\nb==2\n    # via -r requirements.in\n"));
}

TEST_CASE("requirements: an absurd version is observed") {
  const auto read = one_file("a===not_a_version\n");
  REQUIRE(read);
  REQUIRE(read->observations.size() == 2);
  CHECK(read->observations[0].error.code == ErrorCode::kVersionInvalid);
}

TEST_CASE("pylock: packages, hashes, dependencies, content digest") {
  const auto read = read_pylock(
      pylock(wheel("marker = \"sys_platform == 'linux'\"\n") +
             "[packages.tool.mlxguard]\nrecord-digest = \"sha256:x\"\n"
             "[[packages]]\nname = \"c\"\nversion = \"2\"\ndependencies = [{ name = \"A_B\" }]\n"
             "sdist = { path = \"c-2.tar.gz\", hashes = { sha512 = \"" +
             std::string(128, 'b') + "\" } }\n"),
      "x");
  REQUIRE(read);
  REQUIRE(read->components.size() == 2);
  const Component* a = find(*read, "a-b");
  REQUIRE(a != nullptr);
  CHECK(a->hashes == std::vector<std::string>{"sha256:" + kHash});
  CHECK(property_of(*a, "record_digest") == "sha256:x");
  CHECK(find(*read, "c")->needs == std::vector<std::string>{a->purl});
  CHECK(find(*read, "c")->direct);
  CHECK(!a->direct);
}

TEST_CASE("pylock: exact codes for what it must have") {
  const auto code = [](const std::string& text) { return read_pylock(text, "x").error().code; };
  CHECK(code("lock-version = \"2.0\"\ncreated-by = \"t\"\npackages = []\n") ==
        ErrorCode::kDepsFile);
  CHECK(code("lock-version = \"1.0\"\npackages = []\n") == ErrorCode::kDepsFile);
  CHECK(code(pylock("")) == ErrorCode::kDepsFile);
  CHECK(code(pylock("packages = [1]\n")) == ErrorCode::kDepsFile);
  CHECK(code(pylock("[[packages]]\nname = \"a\"\n")) == ErrorCode::kDepsFile);
  CHECK(
      code(pylock("[[packages]]\nname = \"-a\"\nvcs = { type = \"git\", commit-id = \"c\" }\n")) ==
      ErrorCode::kDepsFile);
  CHECK(code(pylock(wheel("marker = \"what\"\n"))) == ErrorCode::kDepsFile);
  CHECK(
      code(pylock(
          "[[packages]]\nname = \"a\"\nwheels = [{ url = \"u\", hashes = { md5 = \"00\" } }]\n")) ==
      ErrorCode::kDepsFile);
  CHECK(code(pylock(wheel("directory = { path = \".\" }\n"))) == ErrorCode::kDepsFile);
  CHECK(code("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r = 1\n") == ErrorCode::kTooLarge);
  CHECK(code("a = \xff\n") == ErrorCode::kUtf8);
  CHECK(code("a = \n") == ErrorCode::kDepsFile);
}

TEST_CASE("toml: letters beyond ASCII belong into strings and comments") {
  const Error error = read_pylock(pylock("é = 1\npackages = []\n"), "x").error();
  CHECK(error.code == ErrorCode::kDepsFile);
  CHECK(error.message == "characters beyond ASCII outside of strings");  // ours, not the parser's
  CHECK(read_pylock("\xef\xbb\xbf" + pylock("x = \"é\" # é\npackages = []\n"), "x"));
}

TEST_CASE("toml: dots in strings and comments are no key") {
  const std::string dots(100, '.');
  CHECK(read_pylock(
      pylock("x = \"" + dots + "\" # " + dots + "\ny = '''\n" + dots + "'''\npackages = []\n"),
      "x"));
}

TEST_CASE("uv.lock: who needs whom, extras that are asked for, markers, the project itself") {
  const auto read = read_uv_lock(
      "version = 1\n"
      "[[package]]\nname = \"app\"\nversion = \"0\"\nsource = { virtual = \".\" }\n"
      "dependencies = [{ name = \"a\", extra = [\"fast\"] }]\n"
      "[package.dev-dependencies]\ndev = [{ name = \"tool\" }]\n"
      "[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { registry = \"r\" }\n"
      "dependencies = [{ name = \"w\", marker = \"sys_platform == 'win32'\" }]\n"
      "sdist = { url = \"u\", hash = \"sha256:" +
          kHash +
          "\" }\n"
          "[package.optional-dependencies]\nfast = [{ name = \"b\" }]\nslow = [{ name = \"c\" }]\n"
          "[[package]]\nname = \"b\"\nversion = \"1\"\nsource = { registry = \"r\" }\n"
          "[[package]]\nname = \"c\"\nversion = \"1\"\nsource = { registry = \"r\" }\n"
          "[[package]]\nname = \"w\"\nversion = \"1\"\nsource = { registry = \"r\" }\n"
          "[[package]]\nname = \"tool\"\nversion = \"1\"\nsource = { git = "
          "\"https://h/r?rev=m#abc\" }\n",
      "x");
  REQUIRE(read);
  CHECK(read->components.size() == 5);
  CHECK(find(*read, "a")->direct);
  CHECK(find(*read, "a")->needs == std::vector<std::string>{"pkg:pypi/b@1", "pkg:pypi/w@1"});
  CHECK(find(*read, "a")->hashes.size() == 1);
  CHECK(property_of(*find(*read, "w"), "marker") == "sys_platform == 'win32'");
  CHECK(property_of(*find(*read, "tool"), "optional") == "true");
  CHECK(property_of(*find(*read, "tool"), "commit") == "abc");
  CHECK(read_uv_lock("version = 2\npackage = []\n", "x").error().code == ErrorCode::kDepsFile);
  CHECK(read_uv_lock("version = 1\n", "x").error().code == ErrorCode::kDepsFile);
  CHECK(read_uv_lock("version = 1\n[[package]]\nname = \"a\"\n", "x").error().code ==
        ErrorCode::kDepsFile);
  CHECK(read_uv_lock("version = 1\n[[package]]\nname = \"a\"\nsource = { registry = \"r\" }\n"
                     "sdist = { hash = \"sha256:1\" }\n",
                     "x")
            .error()
            .code == ErrorCode::kDepsFile);
}

TEST_CASE("poetry.lock: both generations") {
  const auto read = read_poetry_lock(
      "[[package]]\nname = \"a\"\nversion = \"1\"\noptional = false\ngroups = [\"main\"]\n"
      "markers = \"python_version < '4'\"\n"
      "files = [{ file = \"a.whl\", hash = \"sha256:" +
          kHash +
          "\" }]\n"
          "[package.dependencies]\nb = \">=1\"\n"
          "[[package]]\nname = \"b\"\nversion = \"2\"\noptional = false\ngroups = [\"dev\"]\n"
          "[metadata]\nlock-version = \"2.1\"\n",
      "x");
  REQUIRE(read);
  CHECK(find(*read, "a")->needs == std::vector<std::string>{"pkg:pypi/b@2"});
  CHECK(find(*read, "a")->hashes.size() == 1);
  CHECK(property_of(*find(*read, "b"), "optional") == "true");
  const auto old = read_poetry_lock(
      "[[package]]\nname = \"a\"\nversion = \"1\"\ncategory = \"dev\"\noptional = false\n"
      "[metadata]\nlock-version = \"1.1\"\n[metadata.files]\na = [{ file = \"f\", hash = "
      "\"sha256:" +
          kHash + "\" }]\n",
      "x");
  REQUIRE(old);
  CHECK(find(*old, "a")->hashes.size() == 1);
  CHECK(property_of(*find(*old, "a"), "optional") == "true");
  CHECK(read_poetry_lock("", "x").error().code == ErrorCode::kDepsFile);
  const auto ancient = read_poetry_lock("[metadata]\ncontent-hash = \"x\"\n", "x");
  CHECK(ancient.error().message.find("Poetry 0.12") != std::string::npos);
  CHECK(read_poetry_lock("[metadata]\nlock-version = \"9.0\"\n", "x").error().code ==
        ErrorCode::kDepsFile);
}

TEST_CASE("pyproject: what is asked for, and what code decides") {
  const auto read = read_pyproject(
      "[project]\nname = \"x\"\ndynamic = [\"dependencies\"]\ndependencies = [\"mlx==0.32.4\"]\n"
      "[project.optional-dependencies]\nt = [\"pytest>=8\"]\n[dependency-groups]\n"
      "d = [{ include-group = \"e\" }, \"ruff\"]\nE = [\"inner\"]\n",
      "x");
  REQUIRE(read);
  CHECK(property_of(*find(*read, "ruff"), "group:d") == "ruff");
  CHECK(property_of(*find(*read, "inner"), "group:d") == "inner");
  CHECK(property_of(*find(*read, "inner"), "group:e") == "inner");
  CHECK(property_of(*find(*read, "pytest"), "extra:t") == "pytest>=8");
  CHECK(read_pyproject("[dependency-groups]\na = [{ include-group = \"b\" }]\n", "x")
            .error()
            .code == ErrorCode::kDepsFile);
  CHECK(find(*read, "mlx")->version == "0.32.4");
  CHECK(property_of(*find(*read, "pytest"), "optional") == "true");
  const auto both = read_pyproject(
      "[project]\nname = \"x\"\ndependencies = [\"numpy>=1\"]\n"
      "[project.optional-dependencies]\nt = [\"numpy>=2\"]\n",
      "x");
  REQUIRE(both);  // an extra makes nothing optional that the project needs anyway
  CHECK(property_of(*find(*both, "numpy"), "optional").empty());
  CHECK(property_of(*find(*both, "numpy"), "requirement") == "numpy>=1");
  REQUIRE(read->observations.size() == 2);
  CHECK(read->observations[0].kind == Observation::Kind::kUnreadable);
  CHECK(read->observations[1].kind == Observation::Kind::kIncomplete);
  const auto tools = read_pyproject(
      "[build-system]\nrequires = [\"setuptools==70.0\"]\n[tool.poetry.dependencies]\n"
      "python = \"^3.11\"\nexact = \"1.0\"\nrange = { version = \"^1.0\", optional = true }\n"
      "[tool.poetry.group.dev.dependencies]\nchecker = \"==2.0\"\n"
      "[tool.pdm.dev-dependencies]\ntest = [\"pdm-tool==1\"]\n"
      "[tool.uv]\ndev-dependencies = [\"uv-tool==1\"]\n"
      "[tool.hatch.envs.docs]\ndependencies = [\"hatch-tool==1\"]\n",
      "x");
  REQUIRE(tools);
  CHECK(tools->components.size() == 7);
  CHECK(find(*tools, "exact")->version == "1.0");
  CHECK(find(*tools, "range")->version.empty());
  CHECK(find(*tools, "checker")->version == "2.0");
  for (const char* name : {"setuptools", "range", "checker", "pdm-tool", "uv-tool", "hatch-tool"}) {
    CHECK(property_of(*find(*tools, name), "optional") == "true");
  }
  CHECK(read_pyproject("[tool.x]\n", "x").error().code == ErrorCode::kDepsFile);
  CHECK(read_pyproject("[project]\ndependencies = [\"a b\"]\n", "x").error().code ==
        ErrorCode::kSpecifier);
}

TEST_CASE("identity: every package URL of the tables is in canonical spelling") {
  for (const KnowledgeRow& row : knowledge_rows()) {
    const auto parts = read_purl(row.purl);
    REQUIRE(parts);
    CHECK(parts->canonical == row.purl);
  }
  for (const FingerprintRow& row : fingerprint_rows()) {
    const auto parts = read_purl(row.purl);
    REQUIRE(parts);
    CHECK(parts->canonical == row.purl);
  }
}
