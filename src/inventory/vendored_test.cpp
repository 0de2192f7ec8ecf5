// SPDX-License-Identifier: Apache-2.0
#include "inventory/vendored.h"

#include <doctest/doctest.h>

#include <map>

using namespace mlxguard;
using namespace mlxguard::inventory;

namespace {

using Files = std::map<std::string, std::string>;

Inventory reading(const Files& files) {
  Builder builder;
  Component& owner = builder.component("pkg:pypi/tool@1");
  owner.name = "tool";
  owner.version = "1";
  std::vector<std::string> names;
  for (const auto& [name, text] : files) names.push_back(name);
  const FileReader read = [&](const std::string& path, std::uint64_t) -> Result<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return make_error(ErrorCode::kNotFound, "no such file");
    return found->second;
  };
  add_vendored(
      names, [](const std::string&) { return std::string("pkg:pypi/tool@1"); }, read, builder);
  return std::move(builder).build("x", "environment");
}

std::vector<std::string> copies(const Inventory& inventory) {
  std::vector<std::string> purls;
  for (const Component& one : inventory.components) {
    if (is_vendored(one)) purls.push_back(one.purl);
  }
  return purls;
}

using Purls = std::vector<std::string>;

const std::string kMetadata = "Metadata-Version: 2.1\nName: Copied.One\nVersion: 2.0\n\n";

}  // namespace

TEST_CASE("vendored: copies are told by metadata, an SBOM or a list, and belong to their package") {
  const Inventory by_metadata =
      reading({{"tool/_vendor/copied/__init__.py", ""},
               {"tool/_vendor/copied_one-2.0.dist-info/METADATA", kMetadata}});
  CHECK(copies(by_metadata) == Purls{"pkg:pypi/copied-one@2.0"});
  CHECK(by_metadata.observations.empty());
  CHECK(by_metadata.components[1].needs == Purls{"pkg:pypi/copied-one@2.0"});
  CHECK(copies(reading({{"tool/_vendor/vendor.txt", "copied-one==2.0\n    inner==1\n"},
                        {"tool/_vendor/copied/__init__.py", ""}})) ==
        Purls{"pkg:pypi/copied-one@2.0", "pkg:pypi/inner@1"});
  CHECK(copies(reading({{"tool/_vendor/bom.cdx.json",
                         R"({"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[
                             {"type":"library","name":"copied-one","version":"2.0",
                              "purl":"pkg:pypi/copied-one@2.0"}]})"},
                        {"tool/_vendor/copied/__init__.py", ""}})) ==
        Purls{"pkg:pypi/copied-one@2.0"});
}

TEST_CASE("vendored: copies that nothing tells are observed, with their folder") {
  const Inventory inventory =
      reading({{"tool/inner/_vendor/__init__.py", ""}, {"tool/inner/_vendor/copied.py", ""}});
  REQUIRE(inventory.observations.size() == 1);
  CHECK(inventory.observations[0].kind == Observation::Kind::kUnreadable);
  CHECK(inventory.observations[0].where == "tool/inner/_vendor");
  CHECK(inventory.observations[0].component == "pkg:pypi/tool@1");
  CHECK(reading({{"tool/_vendor/__init__.py", ""}}).observations.empty());
  CHECK(reading({{"tool/vendor.py", ""}}).observations.empty());
  const Inventory broken = reading({{"tool/_vendor/a-1.dist-info/METADATA", "no headers"},
                                    {"tool/_vendor/a.py", ""}});
  REQUIRE(broken.observations.size() == 1);
  CHECK(broken.observations[0].where == "tool/_vendor/a-1.dist-info/METADATA");
}

TEST_CASE("vendored: what is installed as well is no mere copy") {
  const Inventory inventory =
      reading({{"tool/_vendor/tool-1.dist-info/METADATA", "Name: tool\nVersion: 1\n\n"},
               {"tool/_vendor/tool.py", ""}});
  CHECK(copies(inventory).empty());
  CHECK(property_of(inventory.components[0], "vendored_in") == "tool/_vendor");
}
