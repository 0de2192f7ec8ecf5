// SPDX-License-Identifier: Apache-2.0
#include "inventory/spdx_read.h"

#include <doctest/doctest.h>

#include "inventory/identity.h"
#include "inventory/sbom_write.h"

using namespace mlxguard;
using namespace mlxguard::inventory;

TEST_CASE("spdx: what is written is read again") {
  Inventory inventory;
  inventory.root = "x";
  for (const char* name : {"a", "b"}) {
    Component component;
    component.name = name;
    component.version = "1";
    component.purl = pypi_purl(name, "1");
    inventory.components.push_back(component);
  }
  inventory.components[0].needs = {inventory.components[1].purl};
  const std::string text = to_spdx(inventory, {});
  CHECK(is_spdx(text));
  const auto sbom = read_spdx(text);
  REQUIRE(sbom);
  REQUIRE(sbom->components.size() == 2);
  CHECK(sbom->components[0].purl == "pkg:pypi/a@1");
  CHECK(sbom->components[0].kind == Component::Kind::kPackage);
  CHECK(sbom->dependencies.size() == 2);  // the document describes a, which needs b
  CHECK(sbom->without_purl == 0);
}

TEST_CASE("spdx: packages without a purl stay, and what is broken is refused") {
  const auto read = [](const std::string& packages) {
    return read_spdx(R"({"spdxVersion":"SPDX-2.3","packages":[)" + packages + "]}");
  };
  const auto unnamed = read(R"({"SPDXID":"SPDXRef-1","name":"zlib","versionInfo":"1.2"})");
  REQUIRE(unnamed);
  CHECK(unnamed->without_purl == 1);
  CHECK(unnamed->components[0].purl == "pkg:generic/zlib@1.2");
  CHECK(read(R"({"name":"zlib"})").error().code == ErrorCode::kSbom);
  CHECK(read(R"({"SPDXID":"a","name":"a"},{"SPDXID":"a","name":"b"})").error().code ==
        ErrorCode::kSbom);
  CHECK(read(R"({"SPDXID":"a","name":"a","externalRefs":[{"referenceType":"purl",
                 "referenceLocator":"nonsense"}]})")
            .error()
            .code == ErrorCode::kSbom);
  CHECK(read("1").error().code == ErrorCode::kSbom);
  CHECK(read_spdx(R"({"spdxVersion":"SPDX-9"})").error().code == ErrorCode::kSbom);
  CHECK(read_spdx("[]").error().code == ErrorCode::kSbom);
}
