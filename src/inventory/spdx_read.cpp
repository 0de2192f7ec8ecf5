// SPDX-License-Identifier: Apache-2.0
#include "inventory/spdx_read.h"

#include <set>
#include <string>

#include "base/limits.h"
#include "codec/json.h"
#include "inventory/identity.h"
#include "inventory/lock_files.h"

namespace mlxguard::inventory {
namespace {

using codec::JsonKind;
using codec::JsonValue;

constexpr std::string_view kDocument = "SPDXRef-DOCUMENT";

Error malformed(std::string message) { return make_error(ErrorCode::kSbom, std::move(message)); }

Result<std::string> text_member(JsonValue object, std::string_view key) {
  const auto value = object.find(key);
  if (!value) return std::string();
  MLXGUARD_TRY_ASSIGN(const std::string_view text, value->as_string(key));
  return std::string(text);
}

template <class Visit>
Result<void> each(JsonValue owner, std::string_view key, const Visit& visit) {
  const auto list = owner.find(key);
  if (!list) return {};
  if (!list->is(JsonKind::kArray)) return malformed("expected an array: " + std::string(key));
  return list->each_element([&](std::size_t, JsonValue one) -> Result<void> {
    if (!one.is(JsonKind::kObject)) return malformed("expected objects in " + std::string(key));
    return visit(one);
  });
}

class Reader {
 public:
  Result<Sbom> read(JsonValue root) {
    MLXGUARD_TRY_ASSIGN(sbom_.spec_version, text_member(root, "spdxVersion"));
    if (sbom_.spec_version != "SPDX-2.2" && sbom_.spec_version != "SPDX-2.3") {
      return malformed("an SPDX document of a version that is not understood: " +
                       sbom_.spec_version);
    }
    MLXGUARD_TRY(each(root, "packages", [&](JsonValue one) { return read_package(one); }));
    sbom_.root_ref = kDocument;
    MLXGUARD_TRY(
        each(root, "relationships", [&](JsonValue one) { return read_relationship(one); }));
    return std::move(sbom_);
  }

 private:
  Result<void> read_package(JsonValue value) {
    if (sbom_.components.size() >= limits::kSbomComponentsMax) {
      return make_error(ErrorCode::kTooLarge, "the SBOM has more packages than allowed");
    }
    Component component;
    component.kind = Component::Kind::kNative;
    MLXGUARD_TRY_ASSIGN(component.name, text_member(value, "name"));
    MLXGUARD_TRY_ASSIGN(component.version, text_member(value, "versionInfo"));
    MLXGUARD_TRY_ASSIGN(component.license, text_member(value, "licenseDeclared"));
    if (component.license == "NOASSERTION") component.license.clear();
    MLXGUARD_TRY_ASSIGN(std::string id, text_member(value, "SPDXID"));
    if (component.name.empty() || id.empty()) {
      return malformed("expected a name and an SPDXID of each package");
    }
    if (!ids_.insert(id).second) return malformed("two packages have one SPDXID: " + id);
    MLXGUARD_TRY(each(value, "externalRefs", [&](JsonValue one) -> Result<void> {
      std::string type, purl;
      MLXGUARD_TRY_ASSIGN(type, text_member(one, "referenceType"));
      if (type != "purl") return {};
      MLXGUARD_TRY_ASSIGN(purl, text_member(one, "referenceLocator"));
      return take_purl(purl, component);
    }));
    MLXGUARD_TRY(each(value, "checksums", [&](JsonValue one) -> Result<void> {
      std::string algorithm, digest;
      MLXGUARD_TRY_ASSIGN(algorithm, text_member(one, "algorithm"));
      MLXGUARD_TRY_ASSIGN(digest, text_member(one, "checksumValue"));
      if (algorithm != "SHA256") return {};
      std::string hash = hash_of("sha256", digest);
      if (hash.empty()) return malformed("a checksum that is none of its kind");
      component.hashes.push_back(std::move(hash));
      return {};
    }));
    if (component.purl.empty()) {
      ++sbom_.without_purl;
      component.purl = make_purl("generic", "", component.name, component.version);
      component.confidence = Confidence::kMedium;
    }
    sbom_.components.push_back(std::move(component));
    sbom_.refs.push_back(std::move(id));
    return {};
  }

  static Result<void> take_purl(const std::string& purl, Component& component) {
    if (!component.purl.empty()) return {};  // of several, the first
    auto parts = read_purl(purl);
    if (!parts) return malformed("a package whose purl is none: " + parts.error().message);
    component.purl = parts->canonical;
    if (parts->type != "pypi") return {};
    component.name = parts->name;
    component.kind = Component::Kind::kPackage;
    return {};
  }

  Result<void> read_relationship(JsonValue value) {
    std::string from, to, type;
    MLXGUARD_TRY_ASSIGN(from, text_member(value, "spdxElementId"));
    MLXGUARD_TRY_ASSIGN(to, text_member(value, "relatedSpdxElement"));
    MLXGUARD_TRY_ASSIGN(type, text_member(value, "relationshipType"));
    if (type == "DESCRIBES" || type == "DEPENDS_ON" || type == "CONTAINS") {
      sbom_.dependencies.emplace_back(from, to);
    } else if (type == "DEPENDENCY_OF" || type == "CONTAINED_BY" || type == "DESCRIBED_BY") {
      sbom_.dependencies.emplace_back(to, from);
    }
    return {};
  }

  Sbom sbom_;
  std::set<std::string> ids_;
};

}  // namespace

bool is_spdx(std::string_view text) {
  return text.find("\"spdxVersion\"") != std::string_view::npos;
}

Result<Sbom> read_spdx(std::string_view text) {
  MLXGUARD_TRY_ASSIGN(const auto document,
                      codec::JsonDocument::parse(text, {.bytes_max = limits::kDepsFileBytesMax}));
  if (!document.root().is(JsonKind::kObject)) return malformed("expected an object");
  return Reader().read(document.root());
}

}  // namespace mlxguard::inventory
