// SPDX-License-Identifier: Apache-2.0
#include "inventory/lock_write.h"

#include <doctest/doctest.h>

#include "inventory/builder.h"
#include "inventory/lock_files.h"

using namespace mlxguard;
using namespace mlxguard::inventory;

namespace {

const std::string kHash(64, 'a'), kOther(64, 'b');

}  // namespace

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
  const auto lock = read_pylock(to_pylock(*entries, {.requires_python = ">=3.11"}), "x");
  REQUIRE(lock);
  REQUIRE(lock->components.size() == 2);
  const Component& b = lock->components[1];
  CHECK(b.purl == "pkg:pypi/b-b@2.0");
  CHECK(b.needs == std::vector<std::string>{"pkg:pypi/a@1"});
  CHECK(property_of(b, "record_digest") == "sha256:d");
  CHECK(to_pylock(*entries, {}).find("u:p@") == std::string::npos);
  const std::string text = to_requirements(*entries);
  const FileReader read = [&](const std::string&, std::uint64_t) -> Result<std::string> {
    return text;
  };
  const auto requirements = read_requirements("r.txt", read, "r.txt");
  REQUIRE(requirements);
  CHECK(requirements->components[1].hashes == std::vector<std::string>{"sha256:" + kHash});
}

TEST_CASE("lock write: for whom it is, and what is wanted where") {
  LockEntry both{.name = "both", .version = "1"}, one{.name = "one", .version = "1"};
  LockEntry old{.name = "moved", .version = "1"}, recent{.name = "moved", .version = "2"};
  for (LockEntry* entry : {&both, &one, &old, &recent}) {
    entry->wheels.push_back({entry->name + "-1-py3-none-any.whl", "https://h/x.whl", kHash});
  }
  const auto entries = joined_entries({{"sys_platform == 'linux'", {both, old}},
                                       {"sys_platform == 'darwin'", {both, one, recent}}});
  const auto lock = read_pylock(to_pylock(entries, {.requires_python = "==3.11.*",
                                                    .environments = {"sys_platform == 'linux'",
                                                                     "sys_platform == 'darwin'"},
                                                    .extras = {"fast"},
                                                    .groups = {"dev"},
                                                    .default_groups = {"dev"}}),
                                "x");
  REQUIRE(lock);
  CHECK(lock->terms.requires_python == "==3.11.*");
  CHECK(lock->terms.environments.size() == 2);
  CHECK(lock->terms.extras == std::vector<std::string>{"fast"});
  CHECK(lock->terms.default_groups == std::vector<std::string>{"dev"});
  const auto marker = [&](const std::string& purl) {
    for (const Component& component : lock->components) {
      if (component.purl == purl) return std::string(property_of(component, "marker"));
    }
    return std::string("absent");
  };
  CHECK(marker("pkg:pypi/both@1").empty());
  CHECK(marker("pkg:pypi/moved@1") == "sys_platform == 'linux'");
  CHECK(marker("pkg:pypi/moved@2") == "sys_platform == 'darwin'");
  CHECK(marker("pkg:pypi/one@1") == "sys_platform == 'darwin'");
  CHECK(to_requirements(entries).find("one==1 ; sys_platform == 'darwin' \\\n") !=
        std::string::npos);
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
