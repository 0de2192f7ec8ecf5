// SPDX-License-Identifier: Apache-2.0
#include "inventory/sbom.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/ascii.h"
#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "inventory/identity.h"
#include "inventory/sbom_text.h"
#include "inventory/spdx_ids.h"

namespace mlxguard::inventory {
namespace {

using codec::JsonKind;
using codec::JsonValue;

Error malformed(std::string message, std::string subject = {}) {
  return make_error(ErrorCode::kSbom, std::move(message)).about(std::move(subject));
}

template <std::size_t N>
bool is_one_of(std::string_view text, const std::string_view (&rows)[N]) {
  return std::find(std::begin(rows), std::end(rows), text) != std::end(rows);
}

constexpr std::string_view kSpecVersions[] = {"1.2", "1.3", "1.4", "1.5", "1.6", "1.7"};
constexpr std::string_view kTypes[] = {"application",
                                       "framework",
                                       "library",
                                       "container",
                                       "platform",
                                       "operating-system",
                                       "device",
                                       "device-driver",
                                       "firmware",
                                       "file",
                                       "machine-learning-model",
                                       "data",
                                       "cryptographic-asset"};
constexpr std::string_view kScopes[] = {"required", "optional", "excluded"};
constexpr std::string_view kPatchTypes[] = {"unofficial", "monkey", "backport", "cherry-pick"};
constexpr std::string_view kIssueTypes[] = {"defect", "enhancement", "security"};
constexpr std::string_view kFlows[] = {"inbound", "outbound", "bi-directional", "unknown"};

struct HashName {
  std::string_view written;
  std::string_view name;
  std::size_t digits;
};
constexpr HashName kHashes[] = {{"MD5", "md5", 32},
                                {"SHA-1", "sha1", 40},
                                {"SHA-256", "sha256", 64},
                                {"SHA-384", "sha384", 96},
                                {"SHA-512", "sha512", 128},
                                {"SHA3-256", "sha3-256", 64},
                                {"SHA3-384", "sha3-384", 96},
                                {"SHA3-512", "sha3-512", 128},
                                {"BLAKE2b-256", "blake2b-256", 64},
                                {"BLAKE2b-384", "blake2b-384", 96},
                                {"BLAKE2b-512", "blake2b-512", 128},
                                {"BLAKE3", "blake3", 64}};

/// A member that must be a string if it is there.
Result<std::string> text_member(const JsonValue& object, std::string_view key) {
  const auto value = object.find(key);
  if (!value) return std::string();
  auto text = value->as_string(key);
  if (!text) return malformed("expected " + std::string(key) + " to be a string");
  return std::string(*text);
}

Result<void> each(const JsonValue& object, std::string_view key,
                  const std::function<Result<void>(const JsonValue&)>& visit) {
  const auto list = object.find(key);
  if (!list) return {};
  if (!list->is(JsonKind::kArray))
    return malformed("expected " + std::string(key) + " to be a list");
  return list->each_element(
      [&](std::size_t, JsonValue element) -> Result<void> { return visit(element); });
}

Result<void> require_object(const JsonValue& value, const char* what) {
  if (value.is(JsonKind::kObject)) return {};
  return malformed(std::string("expected ") + what + " to be an object");
}

Result<void> check_properties(const JsonValue& object) {
  return each(object, "properties", [](const JsonValue& property) -> Result<void> {
    MLXGUARD_TRY(require_object(property, "a property"));
    if (!property.only_members({"name", "value"}))
      return malformed("a property with other members");
    MLXGUARD_TRY_ASSIGN(const std::string name, text_member(property, "name"));
    if (!property.find("name")) return malformed("a property without a name");
    MLXGUARD_TRY(text_member(property, "value"));
    return {};
  });
}

Result<void> check_attachment(const JsonValue& owner, std::string_view key) {
  const auto text = owner.find(key);
  if (!text) return {};
  MLXGUARD_TRY(require_object(*text, "an attached text"));
  MLXGUARD_TRY_ASSIGN(const std::string encoding, text_member(*text, "encoding"));
  if (!encoding.empty() && encoding != "base64")
    return malformed("an attached text in an unknown encoding");
  if (!text->find("content")) return malformed("an attached text without content");
  return {};
}

class SbomReader {
 public:
  explicit SbomReader(LicenseIds ids) : ids_(ids) {}

  Result<Sbom> read(const JsonValue& root) {
    MLXGUARD_TRY(require_object(root, "the document"));
    MLXGUARD_TRY(read_head(root));
    if (const auto metadata = root.find("metadata")) MLXGUARD_TRY(read_metadata(*metadata));
    MLXGUARD_TRY(read_components(root, "components"));
    MLXGUARD_TRY(check_properties(root));
    MLXGUARD_TRY(each(root, "services", [&](const JsonValue& one) { return read_service(one); }));
    MLXGUARD_TRY(
        each(root, "dependencies", [&](const JsonValue& one) { return read_dependency(one); }));
    return std::move(sbom_);
  }

 private:
  Result<void> read_head(const JsonValue& root) {
    MLXGUARD_TRY_ASSIGN(const std::string format, text_member(root, "bomFormat"));
    if (format != "CycloneDX")
      return malformed("expected bomFormat CycloneDX").compared("CycloneDX", format);
    MLXGUARD_TRY_ASSIGN(sbom_.spec_version, text_member(root, "specVersion"));
    if (!is_one_of(sbom_.spec_version, kSpecVersions)) {
      return malformed("expected specVersion 1.2 to 1.7")
          .compared("1.2 to 1.7", sbom_.spec_version);
    }
    MLXGUARD_TRY_ASSIGN(const std::string serial, text_member(root, "serialNumber"));
    if (root.find("serialNumber") && !is_uuid_urn(serial))
      return malformed("serialNumber is no UUID");
    if (const auto version = root.find("version")) {
      const auto number = version->as_int64("version");
      if (!number || *number < 1) return malformed("expected version to be a positive number");
    }
    return {};
  }

  Result<void> read_metadata(const JsonValue& metadata) {
    MLXGUARD_TRY(require_object(metadata, "metadata"));
    MLXGUARD_TRY_ASSIGN(const std::string timestamp, text_member(metadata, "timestamp"));
    if (metadata.find("timestamp") && !is_timestamp(timestamp)) {
      return malformed("expected metadata.timestamp to be a date and time");
    }
    MLXGUARD_TRY(check_properties(metadata));
    MLXGUARD_TRY(read_licenses(metadata));
    const auto component = metadata.find("component");
    if (!component) return {};
    const std::size_t index = sbom_.components.size();
    MLXGUARD_TRY(read_component(*component));
    sbom_.root_ref = sbom_.refs[index];
    sbom_.root_purl = sbom_.components[index].purl;
    // The thing itself is often listed again among its components.
    if (!sbom_.root_ref.empty()) refs_.erase(sbom_.root_ref);
    return {};
  }

  Result<void> read_components(const JsonValue& owner, std::string_view key) {
    return each(owner, key, [&](const JsonValue& one) { return read_component(one); });
  }

  Result<void> read_component(const JsonValue& value) {
    MLXGUARD_TRY(require_object(value, "a component"));
    if (sbom_.components.size() >= limits::kSbomComponentsMax) {
      return make_error(ErrorCode::kTooLarge, "the SBOM has more components than allowed");
    }
    Component component;
    MLXGUARD_TRY_ASSIGN(const std::string type, text_member(value, "type"));
    if (!is_one_of(type, kTypes)) return malformed("a component of an unknown type", type);
    if (!value.find("name")) return malformed("a component without a name");
    MLXGUARD_TRY_ASSIGN(component.name, text_member(value, "name"));
    MLXGUARD_TRY_ASSIGN(component.version, text_member(value, "version"));
    MLXGUARD_TRY_ASSIGN(const std::string group, text_member(value, "group"));
    MLXGUARD_TRY_ASSIGN(const std::string scope, text_member(value, "scope"));
    if (value.find("scope") && !is_one_of(scope, kScopes))
      return malformed("an unknown scope", component.name);
    if (scope == "excluded") component.properties.emplace_back("scope", "excluded");
    if (scope == "optional") component.properties.emplace_back("scope", "optional");
    MLXGUARD_TRY(read_hashes(value, component));
    MLXGUARD_TRY_ASSIGN(component.license, read_licenses(value));
    MLXGUARD_TRY(check_properties(value));
    MLXGUARD_TRY(check_swid(value));
    MLXGUARD_TRY(check_pedigree(value));
    MLXGUARD_TRY(read_identity(value, type, group, component));
    MLXGUARD_TRY_ASSIGN(std::string ref, take_ref(value));
    read_own_properties(value, component);
    sbom_.components.push_back(std::move(component));
    sbom_.refs.push_back(std::move(ref));
    return read_components(value, "components");
  }

  Result<std::string> take_ref(const JsonValue& value) {
    MLXGUARD_TRY_ASSIGN(std::string ref, text_member(value, "bom-ref"));
    if (!value.find("bom-ref")) return ref;
    if (ref.empty()) return malformed("a bom-ref that is empty");
    if (!refs_.insert(ref).second) return malformed("two components have one bom-ref", ref);
    return ref;
  }

  Result<void> read_identity(const JsonValue& value, const std::string& type,
                             const std::string& group, Component& component) {
    MLXGUARD_TRY_ASSIGN(const std::string purl, text_member(value, "purl"));
    component.kind = type == "machine-learning-model" ? Component::Kind::kModel
                     : type == "application"          ? Component::Kind::kApplication
                                                      : Component::Kind::kNative;
    if (purl.empty()) {
      ++sbom_.without_purl;
      component.purl = make_purl("generic", group, component.name, component.version);
      component.confidence = Confidence::kMedium;
      return {};
    }
    auto parts = read_purl(purl);
    if (!parts) return malformed("a component whose purl is none: " + parts.error().message, purl);
    component.purl = parts->canonical;
    if (parts->type != "pypi") return {};
    component.name = parts->name;
    if (component.kind != Component::Kind::kModel) component.kind = Component::Kind::kPackage;
    return {};
  }

  /// Our own writer's properties, so that what was written can be read again.
  static void read_own_properties(const JsonValue& value, Component& component) {
    (void)each(value, "properties", [&](const JsonValue& property) -> Result<void> {
      MLXGUARD_TRY_ASSIGN(const std::string name, text_member(property, "name"));
      MLXGUARD_TRY_ASSIGN(const std::string text, text_member(property, "value"));
      constexpr std::string_view kPrefix = "mlxguard:";
      if (!name.starts_with(kPrefix)) return {};
      const std::string own = name.substr(kPrefix.size());
      if (own == "kind") {
        if (text == "package") component.kind = Component::Kind::kPackage;
      } else if (own == "confidence") {
        component.confidence = text == "low"      ? Confidence::kLow
                               : text == "medium" ? Confidence::kMedium
                                                  : Confidence::kHigh;
      } else if (own == "direct") {
        component.direct = text == "true";
      } else if (own != "own") {  // what is not scanned is not for an SBOM to say
        component.properties.emplace_back(own, text);
      }
      return {};
    });
  }

  static Result<void> read_hashes(const JsonValue& value, Component& component) {
    return each(value, "hashes", [&](const JsonValue& hash) -> Result<void> {
      MLXGUARD_TRY(require_object(hash, "a hash"));
      MLXGUARD_TRY_ASSIGN(const std::string algorithm, text_member(hash, "alg"));
      MLXGUARD_TRY_ASSIGN(std::string content, text_member(hash, "content"));
      const auto* row = std::find_if(std::begin(kHashes), std::end(kHashes),
                                     [&](const HashName& one) { return one.written == algorithm; });
      if (row == std::end(kHashes)) return malformed("a hash by an unknown algorithm", algorithm);
      const bool hex = content.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
      if (!hex || content.size() != row->digits)
        return malformed("a hash that is none of its kind", algorithm);
      component.hashes.push_back(std::string(row->name) + ":" + ascii_lower(content));
      return {};
    });
  }

  /// One text of all licences; errors for what is neither a licence nor one expression.
  Result<std::string> read_licenses(const JsonValue& value) const {
    std::string all;
    std::size_t licenses = 0, expressions = 0;
    auto listed = each(value, "licenses", [&](const JsonValue& choice) -> Result<void> {
      MLXGUARD_TRY(require_object(choice, "a licence"));
      const auto license = choice.find("license");
      MLXGUARD_TRY_ASSIGN(std::string name, text_member(choice, "expression"));
      if (license.has_value() == choice.find("expression").has_value()) {
        return malformed("expected a licence or an expression, found both or none");
      }
      ++(license ? licenses : expressions);
      if (license) {
        MLXGUARD_TRY(require_object(*license, "a licence"));
        MLXGUARD_TRY_ASSIGN(name, text_member(*license, "id"));
        if (license->find("id").has_value() == license->find("name").has_value()) {
          return malformed("expected a licence's id or name, found both or none");
        }
        if (!name.empty() && ids_ == LicenseIds::kKnown && !is_spdx_id(name)) {
          return malformed("a licence id that is not on the SPDX list; others go by name", name);
        }
        if (name.empty()) {
          MLXGUARD_TRY_ASSIGN(name, text_member(*license, "name"));
        }
        MLXGUARD_TRY(check_attachment(*license, "text"));
        MLXGUARD_TRY(check_properties(*license));
      }
      if (!all.empty()) all += " AND ";
      all += name;
      return {};
    });
    MLXGUARD_TRY(listed);
    if (expressions > 0 && licenses + expressions > 1) {
      return malformed("expected licences or one expression, found both");
    }
    return all;
  }

  static Result<void> check_swid(const JsonValue& value) {
    const auto swid = value.find("swid");
    if (!swid) return {};
    MLXGUARD_TRY(require_object(*swid, "swid"));
    if (!swid->find("tagId") || !swid->find("name")) return malformed("swid without tagId or name");
    return {};
  }

  Result<void> check_pedigree(const JsonValue& value) {
    const auto pedigree = value.find("pedigree");
    if (!pedigree) return {};
    MLXGUARD_TRY(require_object(*pedigree, "pedigree"));
    return each(*pedigree, "patches", [](const JsonValue& patch) -> Result<void> {
      MLXGUARD_TRY(require_object(patch, "a patch"));
      MLXGUARD_TRY_ASSIGN(const std::string type, text_member(patch, "type"));
      if (!is_one_of(type, kPatchTypes)) return malformed("a patch of an unknown type", type);
      return each(patch, "resolves", [](const JsonValue& issue) -> Result<void> {
        MLXGUARD_TRY(require_object(issue, "an issue"));
        MLXGUARD_TRY_ASSIGN(const std::string kind, text_member(issue, "type"));
        if (!is_one_of(kind, kIssueTypes)) return malformed("an issue of an unknown type", kind);
        return {};
      });
    });
  }

  Result<void> read_service(const JsonValue& service) {
    MLXGUARD_TRY(require_object(service, "a service"));
    if (!service.find("name")) return malformed("a service without a name");
    MLXGUARD_TRY(take_ref(service));
    MLXGUARD_TRY(check_properties(service));
    auto carried = each(service, "data", [](const JsonValue& data) -> Result<void> {
      MLXGUARD_TRY(require_object(data, "a service's data"));
      MLXGUARD_TRY_ASSIGN(const std::string flow, text_member(data, "flow"));
      if (!is_one_of(flow, kFlows)) return malformed("data of an unknown flow", flow);
      return {};
    });
    MLXGUARD_TRY(carried);
    return each(service, "services", [&](const JsonValue& inner) { return read_service(inner); });
  }

  Result<void> read_dependency(const JsonValue& value) {
    MLXGUARD_TRY(require_object(value, "a dependency"));
    MLXGUARD_TRY_ASSIGN(const std::string ref, text_member(value, "ref"));
    if (ref.empty()) return malformed("a dependency without a ref");
    return each(value, "dependsOn", [&](const JsonValue& on) -> Result<void> {
      const auto to = on.as_string("dependsOn");
      if (!to || to->empty()) return malformed("a dependency on what has no name", ref);
      if (sbom_.dependencies.size() >= 10 * limits::kSbomComponentsMax) {
        return make_error(ErrorCode::kTooLarge, "the SBOM has more dependencies than allowed");
      }
      sbom_.dependencies.emplace_back(ref, *to);
      return {};
    });
  }

  LicenseIds ids_;
  Sbom sbom_;
  std::set<std::string> refs_;
};

}  // namespace

bool is_cyclonedx(std::string_view text) {
  return text.find("\"bomFormat\"") != std::string_view::npos;
}

Result<Sbom> read_sbom(std::string_view text, LicenseIds ids) {
  if (text.size() > limits::kDepsFileBytesMax) {
    return make_error(ErrorCode::kTooLarge, "the SBOM is larger than allowed");
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument document, codec::JsonDocument::parse(text));
  return SbomReader(ids).read(document.root());
}

}  // namespace mlxguard::inventory
