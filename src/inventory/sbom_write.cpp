// SPDX-License-Identifier: Apache-2.0
#include "inventory/sbom_write.h"

#include <algorithm>
#include <map>
#include <set>

#include "codec/json.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "inventory/builder.h"
#include "inventory/identity.h"
#include "inventory/spdx_ids.h"

namespace mlxguard::inventory {
namespace {

using codec::JsonWriter;

constexpr std::string_view kRootRef = "mlxguard:root";

struct HashName {
  std::string_view ours, cyclonedx, spdx;
  std::size_t digits = 0;
};
constexpr HashName kHashes[] = {{"sha256", "SHA-256", "SHA256", 64},
                                {"sha384", "SHA-384", "SHA384", 96},
                                {"sha512", "SHA-512", "SHA512", 128},
                                {"sha1", "SHA-1", "SHA1", 40},
                                {"md5", "MD5", "MD5", 32},
                                {"sha3-256", "SHA3-256", "SHA3-256", 64},
                                {"sha3-384", "SHA3-384", "SHA3-384", 96},
                                {"sha3-512", "SHA3-512", "SHA3-512", 128},
                                {"blake2b-256", "BLAKE2b-256", "BLAKE2b-256", 64},
                                {"blake2b-384", "BLAKE2b-384", "BLAKE2b-384", 96},
                                {"blake2b-512", "BLAKE2b-512", "BLAKE2b-512", 128},
                                {"blake3", "BLAKE3", "BLAKE3", 64}};

/// The row and the digits of "sha256:..."; no row for an algorithm that SBOMs do not know, nor for
/// what is no digest: direct_url.json may hold any text.
std::pair<const HashName*, std::string> split_hash(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return {nullptr, {}};
  const std::string_view digits = text.substr(colon + 1);
  if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
    return {nullptr, {}};
  }
  for (const HashName& row : kHashes) {
    if (text.substr(0, colon) == row.ours && digits.size() == row.digits) {
      return {&row, std::string(digits)};
    }
  }
  return {nullptr, {}};
}

/// CycloneDX refuses a list with two equal elements, SPDX one id that names two packages.
void write_strings(JsonWriter& json, std::string_view name,
                   const std::vector<std::string>& values) {
  json.key(name).begin_array();
  for (const std::string& value : values) json.string(value);
  json.end_array();
}

void write_error(JsonWriter& json, const Error& error) {
  json.field("code", mlxguard::name_of(error.code)).field("message", error.message);
  if (!error.expected.empty()) json.field("expected", error.expected);
  if (!error.actual.empty()) json.field("actual", error.actual);
  if (!error.hint.empty()) json.field("hint", error.hint);
}

void write_component(JsonWriter& json, const Component& component) {
  json.begin_object().field("kind", name_of(component.kind)).field("name", component.name);
  json.field("version", component.version).field("purl", component.purl);
  json.field("confidence", name_of(component.confidence));
  json.field("license", component.license).field("location", component.location);
  json.key("direct").boolean(component.direct);
  write_strings(json, "hashes", component.hashes);
  write_strings(json, "needs", component.needs);
  json.key("properties").begin_array();  // one name may have several values
  for (const auto& [name, value] : component.properties) {
    json.begin_object().field("name", name).field("value", value).end_object();
  }
  json.end_array().key("evidence").begin_array();
  for (const Evidence& evidence : component.evidence) {
    json.begin_object().field("kind", name_of(evidence.kind));
    json.field("where", evidence.where).field("what", evidence.what).end_object();
  }
  json.end_array().end_object();
}

/// A UUID of the content (RFC 9562, version 8: the writer's own way).
std::string content_uuid(const Inventory& inventory) {
  const std::string text = to_json(inventory);
  crypto::Sha256Digest digest = crypto::sha256(as_bytes(text));
  digest[6] = static_cast<std::uint8_t>((digest[6] & 0x0f) | 0x80);
  digest[8] = static_cast<std::uint8_t>((digest[8] & 0x3f) | 0x80);
  std::string hex = codec::to_hex(Bytes(digest).first(16));
  for (const std::size_t at : {20u, 16u, 12u, 8u}) hex.insert(at, "-");
  return hex;
}

std::string uuid_of(const Inventory& inventory, const SbomStamp& stamp) {
  return stamp.serial_uuid.empty() ? content_uuid(inventory) : stamp.serial_uuid;
}

double number_of(Confidence confidence) {
  switch (confidence) {
    case Confidence::kHigh:
      return 1.0;
    case Confidence::kMedium:
      return 0.6;
    case Confidence::kLow:
      return 0.3;
  }
  return 0.0;
}

std::string_view technique_of(Evidence::Kind kind) {
  switch (kind) {
    case Evidence::Kind::kMetadata:
    case Evidence::Kind::kLockFile:
    case Evidence::Kind::kSbom:
      return "manifest-analysis";
    case Evidence::Kind::kNeeded:
    case Evidence::Kind::kSymbols:
    case Evidence::Kind::kStrings:
      return "binary-analysis";
    case Evidence::Kind::kFile:
      return "filename";
    case Evidence::Kind::kKnowledge:
      return "other";
  }
  return "other";
}

void write_evidence(JsonWriter& json, const Component& component) {
  if (component.evidence.empty()) return;
  json.key("evidence").begin_object().key("identity").begin_array().begin_object();
  json.field("field", "purl").key("confidence").number(number_of(component.confidence));
  json.key("methods").begin_array();
  std::set<std::string> places;
  for (const Evidence& evidence : component.evidence) {
    json.begin_object().field("technique", technique_of(evidence.kind));
    json.key("confidence").number(number_of(component.confidence));
    json.field("value", std::string(name_of(evidence.kind)) + ": " + evidence.what +
                            (evidence.where.empty() ? "" : " in " + evidence.where));
    json.end_object();
    if (!evidence.where.empty()) places.insert(evidence.where);
  }
  json.end_array().end_object().end_array();
  if (!places.empty()) {
    json.key("occurrences").begin_array();
    for (const std::string& place : places)
      json.begin_object().field("location", place).end_object();
    json.end_array();
  }
  json.end_object();
}

void write_property(JsonWriter& json, std::string_view name, std::string_view value) {
  json.begin_object()
      .field("name", "mlxguard:" + std::string(name))
      .field("value", value)
      .end_object();
}

std::string_view type_of(Component::Kind kind) {
  switch (kind) {
    case Component::Kind::kApplication:
      return "application";
    case Component::Kind::kModel:
      return "machine-learning-model";
    case Component::Kind::kPackage:
    case Component::Kind::kNative:
      return "library";
  }
  return "library";
}

void write_license(JsonWriter& json, const std::string& license) {
  if (license.empty()) return;
  json.key("licenses").begin_array().begin_object();
  if (looks_like_license_expression(license)) {
    json.field("expression", license);
  } else {
    json.key("license").begin_object().field("name", license).end_object();
  }
  json.end_object().end_array();
}

void write_cyclonedx_component(JsonWriter& json, const Component& component) {
  json.begin_object().field("type", type_of(component.kind)).field("bom-ref", component.purl);
  json.field("name", component.name);
  if (!component.version.empty()) json.field("version", component.version);
  if (property_of(component, "scope") == "optional") json.field("scope", "optional");
  std::vector<std::pair<const HashName*, std::string>> hashes;
  for (const std::string& hash : component.hashes) {
    auto split = split_hash(hash);
    if (split.first != nullptr) hashes.push_back(std::move(split));
  }
  if (!hashes.empty()) {
    json.key("hashes").begin_array();
    for (const auto& [row, digits] : hashes) {
      json.begin_object().field("alg", row->cyclonedx).field("content", digits).end_object();
    }
    json.end_array();
  }
  write_license(json, component.license);
  json.field("purl", component.purl);
  if (component.kind == Component::Kind::kModel) json.key("modelCard").begin_object().end_object();
  write_evidence(json, component);
  json.key("properties").begin_array();
  write_property(json, "kind", name_of(component.kind));
  write_property(json, "confidence", name_of(component.confidence));
  if (component.direct) write_property(json, "direct", "true");
  if (!component.location.empty()) write_property(json, "location", component.location);
  for (const auto& [name, value] : component.properties) write_property(json, name, value);
  json.end_array().end_object();
}

/// What nobody here needs: these are what the root depends on.
/// What the root holds directly: so that everything is reached from it, also packages that only
/// need each other in a circle.
std::vector<std::string> top_level(const Inventory& inventory) {
  std::map<std::string_view, const Component*> by_purl;
  std::set<std::string_view> needed, reached;
  for (const Component& component : inventory.components) {
    by_purl.emplace(component.purl, &component);
    needed.insert(component.needs.begin(), component.needs.end());
  }
  std::vector<std::string> top;
  const auto add = [&](const Component& component) {
    top.push_back(component.purl);
    std::vector<const Component*> waiting{&component};
    while (!waiting.empty()) {
      const Component* one = waiting.back();
      waiting.pop_back();
      if (!reached.insert(one->purl).second) continue;
      for (const std::string& purl : one->needs) {
        if (const auto next = by_purl.find(purl); next != by_purl.end())
          waiting.push_back(next->second);
      }
    }
  };
  for (const Component& component : inventory.components) {
    if (component.direct || !needed.contains(component.purl)) add(component);
  }
  for (const Component& component : inventory.components) {
    if (!reached.contains(component.purl)) add(component);
  }
  return top;
}

std::string seconds_only(std::int64_t milliseconds) {
  constexpr std::size_t kToSeconds = 19;
  return codec::to_rfc3339(milliseconds).substr(0, kToSeconds) + "Z";
}

std::string spdx_id(std::size_t index) { return "SPDXRef-Package-" + std::to_string(index); }

void write_spdx_package(JsonWriter& json, const Component& component, std::size_t index) {
  json.begin_object().field("SPDXID", spdx_id(index)).field("name", component.name);
  if (!component.version.empty()) json.field("versionInfo", component.version);
  json.field("downloadLocation", "NOASSERTION").key("filesAnalyzed").boolean(false);
  json.field("licenseConcluded", "NOASSERTION").field("copyrightText", "NOASSERTION");
  const bool expression = looks_like_license_expression(component.license);
  json.field("licenseDeclared", expression ? component.license : "NOASSERTION");
  if (!component.license.empty() && !expression) json.field("licenseComments", component.license);
  json.field("primaryPackagePurpose", component.kind == Component::Kind::kApplication
                                          ? "APPLICATION"
                                      : component.kind == Component::Kind::kModel ? "OTHER"
                                                                                  : "LIBRARY");
  json.key("checksums").begin_array();
  for (const std::string& hash : component.hashes) {
    const auto [row, digits] = split_hash(hash);
    if (row == nullptr) continue;
    json.begin_object().field("algorithm", row->spdx).field("checksumValue", digits).end_object();
  }
  json.end_array().key("externalRefs").begin_array();
  json.begin_object().field("referenceCategory", "PACKAGE-MANAGER").field("referenceType", "purl");
  json.field("referenceLocator", component.purl).end_object().end_array();
  std::string comment = "confidence " + std::string(name_of(component.confidence));
  for (const Evidence& evidence : component.evidence) {
    comment += "; " + std::string(name_of(evidence.kind)) + ": " + evidence.what;
    if (!evidence.where.empty()) comment += " in " + evidence.where;
  }
  for (const std::string_view name : {"root_digest", "signer", "signer_name"}) {
    const std::string_view value = property_of(component, name);
    if (!value.empty()) comment += "; " + std::string(name) + " " + std::string(value);
  }
  json.field("comment", comment).end_object();
}

void write_relationship(JsonWriter& json, std::string_view from, std::string_view type,
                        std::string_view to) {
  json.begin_object().field("spdxElementId", from).field("relationshipType", type);
  json.field("relatedSpdxElement", to).end_object();
}

}  // namespace

std::string to_json(const Inventory& inventory) {
  JsonWriter json;
  json.begin_object().field("root", inventory.root).field("source", inventory.source);
  json.key("components").begin_array();
  for (const Component& component : inventory.components) write_component(json, component);
  json.end_array().key("observations").begin_array();
  for (const Observation& observation : inventory.observations) {
    json.begin_object().field("kind", name_of(observation.kind));
    json.field("component", observation.component).field("where", observation.where);
    write_error(json, observation.error);
    json.end_object();
  }
  json.end_array().end_object();
  return std::move(json).take();
}

std::string to_cyclonedx(const Inventory& inventory, const SbomStamp& stamp) {
  JsonWriter json;
  json.begin_object().field("$schema", "http://cyclonedx.org/schema/bom-1.6.schema.json");
  json.field("bomFormat", "CycloneDX").field("specVersion", "1.6");
  json.field("serialNumber", "urn:uuid:" + uuid_of(inventory, stamp)).field("version", 1);
  json.key("metadata").begin_object();
  json.field("timestamp", codec::to_rfc3339(stamp.milliseconds_since_epoch));
  json.key("tools").begin_object().key("components").begin_array().begin_object();
  json.field("type", "application").field("name", "mlxguard").field("version", stamp.tool_version);
  json.end_object().end_array().end_object();
  json.key("component").begin_object().field("type", "application").field("bom-ref", kRootRef);
  json.field("name", inventory.root).end_object();
  json.key("properties").begin_array();
  write_property(json, "source", inventory.source);
  json.end_array().end_object();
  json.key("components").begin_array();
  for (const Component& component : inventory.components)
    write_cyclonedx_component(json, component);
  json.end_array().key("dependencies").begin_array();
  json.begin_object().field("ref", kRootRef);
  write_strings(json, "dependsOn", top_level(inventory));
  json.end_object();
  for (const Component& component : inventory.components) {
    json.begin_object().field("ref", component.purl);
    if (!component.needs.empty()) write_strings(json, "dependsOn", component.needs);
    json.end_object();
  }
  json.end_array();
  // What was linked into a binary without leaving a trace is in no inventory: it says so itself.
  json.key("compositions").begin_array().begin_object().field("aggregate", "incomplete");
  json.key("assemblies").begin_array().string(kRootRef).end_array().end_object().end_array();
  json.key("properties").begin_array();
  for (const Observation& observation : inventory.observations) {
    write_property(json, "observation:" + std::string(name_of(observation.kind)),
                   (observation.where.empty() ? observation.component : observation.where) + ": " +
                       observation.error.message);
  }
  json.end_array().end_object();
  return std::move(json).take();
}

std::string to_spdx(const Inventory& inventory, const SbomStamp& stamp) {
  JsonWriter json;
  json.begin_object().field("spdxVersion", "SPDX-2.3").field("dataLicense", "CC0-1.0");
  json.field("SPDXID", "SPDXRef-DOCUMENT").field("name", inventory.root);
  json.field("documentNamespace", "urn:uuid:" + uuid_of(inventory, stamp));
  json.key("creationInfo")
      .begin_object()
      .field("created", seconds_only(stamp.milliseconds_since_epoch));
  json.key("creators").begin_array().string("Tool: mlxguard-" + stamp.tool_version).end_array();
  json.end_object().key("packages").begin_array();
  std::map<std::string_view, std::size_t> index_of;
  for (std::size_t i = 0; i < inventory.components.size(); ++i) {
    index_of.emplace(inventory.components[i].purl, i);
    write_spdx_package(json, inventory.components[i], i);
  }
  json.end_array().key("relationships").begin_array();
  for (const std::string& purl : top_level(inventory)) {
    write_relationship(json, "SPDXRef-DOCUMENT", "DESCRIBES", spdx_id(index_of.at(purl)));
  }
  for (const Component& component : inventory.components) {
    for (const std::string& to : component.needs) {
      const auto other = index_of.find(to);
      if (other == index_of.end()) continue;
      write_relationship(json, spdx_id(index_of.at(component.purl)), "DEPENDS_ON",
                         spdx_id(other->second));
    }
  }
  json.end_array().end_object();
  return std::move(json).take();
}

}  // namespace mlxguard::inventory
