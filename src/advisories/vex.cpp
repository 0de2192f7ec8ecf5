// SPDX-License-Identifier: Apache-2.0
#include "advisories/vex.h"

#include <algorithm>
#include <array>

#include "advisories/osv.h"
#include "base/limits.h"
#include "base/ascii.h"
#include "codec/json.h"
#include "codec/text.h"
#include "packaging/purl.h"

namespace mlxguard::advisories {
namespace {

/// A time as RFC 3339 writes it. Tools write local time with its offset from UTC: the offset is
/// taken off, so that statements of different places can be put in order.
Result<std::int64_t> moment_of(std::string_view text) {
  constexpr std::size_t kOffsetBytes = 6;  // +02:00
  const std::string_view offset =
      text.size() > kOffsetBytes ? text.substr(text.size() - kOffsetBytes) : std::string_view();
  const auto digit = [&](std::size_t at) { return is_ascii_digit(offset[at]); };
  const bool has_offset = !offset.empty() && (offset[0] == '+' || offset[0] == '-') &&
                          offset[3] == ':' && digit(1) && digit(2) && digit(4) && digit(5) &&
                          text.find('T') != std::string_view::npos;
  if (!has_offset) return codec::from_rfc3339(text);
  MLXGUARD_TRY_ASSIGN(
      const std::int64_t local,
      codec::from_rfc3339(std::string(text.substr(0, text.size() - kOffsetBytes)) + "Z"));
  const std::int64_t hours = (offset[1] - '0') * 10 + (offset[2] - '0');
  const std::int64_t minutes = (offset[4] - '0') * 10 + (offset[5] - '0');
  if (hours > 23 || minutes > 59) {
    return make_error(ErrorCode::kJsonSyntax, "expected an offset from UTC below 24 hours");
  }
  const std::int64_t ahead_ms = (hours * 60 + minutes) * 60'000;
  return offset[0] == '+' ? local - ahead_ms : local + ahead_ms;
}

using codec::JsonKind;
using codec::JsonValue;

constexpr std::array<std::string_view, 5> kJustifications{
    "component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist"};
constexpr std::array<std::string_view, 4> kStates{"not_affected", "affected", "fixed",
                                                  "under_investigation"};

Error broken(std::string message) { return make_error(ErrorCode::kVex, std::move(message)); }

std::string text_of(JsonValue object, std::string_view key) {
  const auto value = object.find(key);
  if (!value || !value->is(JsonKind::kString)) return {};
  return std::string(*value->as_string());
}

/// "vulnerability": {"name", "@id", "aliases"}, or in older documents a text.
std::vector<std::string> vulnerabilities_of(JsonValue statement) {
  std::vector<std::string> ids;
  const auto value = statement.find("vulnerability");
  if (!value) return ids;
  if (value->is(JsonKind::kString)) return {std::string(*value->as_string())};
  if (!value->is(JsonKind::kObject)) return ids;
  for (const std::string_view key : {"name", "@id"}) {
    if (std::string id = text_of(*value, key); !id.empty()) ids.push_back(std::move(id));
  }
  const auto aliases = value->find("aliases");
  if (!aliases || !aliases->is(JsonKind::kArray)) return ids;
  static_cast<void>(aliases->each_element([&](std::size_t, JsonValue alias) -> Result<void> {
    if (alias.is(JsonKind::kString)) ids.emplace_back(*alias.as_string());
    return {};
  }));
  return ids;
}

/// The package URLs that an object of a statement goes by.
std::vector<std::string> purls_of(JsonValue named) {
  if (named.is(JsonKind::kString)) return {std::string(*named.as_string())};
  std::vector<std::string> purls;
  if (!named.is(JsonKind::kObject)) return purls;
  if (std::string id = text_of(named, "@id"); id.starts_with("pkg:"))
    purls.push_back(std::move(id));
  const auto others = named.find("identifiers");
  if (!others || !others->is(JsonKind::kObject)) return purls;
  if (std::string purl = text_of(*others, "purl"); !purl.empty()) purls.push_back(std::move(purl));
  return purls;
}

/// What the statement is about. A part is not reached inside of one package and may be in another:
/// only of an application, which is all that is scanned, does that say something about the part.
/// Returns whether anything was named at all.
bool add_product(JsonValue product, VexStatement& statement) {
  std::vector<std::string>& out = statement.products;
  std::vector<std::string> own = purls_of(product);
  const auto inner = product.find("subcomponents");
  if (!inner || !inner->is(JsonKind::kArray) || inner->size() == 0) {
    out.insert(out.end(), own.begin(), own.end());
    return !own.empty();
  }
  const bool in_package = std::any_of(own.begin(), own.end(), [](const std::string& purl) {
    return key_of_purl(purl).starts_with("pypi/");
  });
  bool any = false;
  static_cast<void>(inner->each_element([&](std::size_t, JsonValue part) -> Result<void> {
    std::vector<std::string> parts = purls_of(part);
    any = any || !parts.empty();
    if (!in_package) out.insert(out.end(), parts.begin(), parts.end());
    return {};
  }));
  if (in_package) return any;
  if (std::string id = text_of(product, "@id"); !id.empty()) own.push_back(std::move(id));
  statement.applications.insert(statement.applications.end(), own.begin(), own.end());
  return any;
}

Result<VexStatement> read_statement(JsonValue one) {
  if (!one.is(JsonKind::kObject)) return broken("a statement that is no object");
  VexStatement statement;
  statement.vulnerabilities = vulnerabilities_of(one);
  if (statement.vulnerabilities.empty()) return broken("a statement without a vulnerability");
  const std::string& first = statement.vulnerabilities.front();
  bool named = false;
  const auto products = one.find("products");
  if (products && products->is(JsonKind::kArray)) {
    MLXGUARD_TRY(products->each_element([&](std::size_t, JsonValue product) -> Result<void> {
      named = add_product(product, statement) || named;
      return {};
    }));
  }
  if (!named) {
    return broken("a statement without a product that is a package URL").about(first);
  }
  statement.status = text_of(one, "status");
  if (std::find(kStates.begin(), kStates.end(), statement.status) == kStates.end()) {
    return broken("a statement of a status that is not known: " + statement.status).about(first);
  }
  statement.justification = text_of(one, "justification");
  statement.impact = text_of(one, "impact_statement");
  if (statement.impact.empty()) statement.impact = text_of(one, "status_notes");
  const bool justified = std::find(kJustifications.begin(), kJustifications.end(),
                                   statement.justification) != kJustifications.end();
  if (!statement.justification.empty() && !justified) {
    return broken("a justification that the specification does not have")
        .about(first)
        .compared("one of component_not_present, vulnerable_code_not_present, ...",
                  statement.justification);
  }
  if (statement.status == "not_affected" && !justified) {
    return broken("not_affected without a justification")
        .about(first)
        .hinting(
            "add \"justification\": one of component_not_present, vulnerable_code_not_present, "
            "vulnerable_code_not_in_execute_path, "
            "vulnerable_code_cannot_be_controlled_by_adversary, inline_mitigations_already_exist");
  }
  return statement;
}

/// Without its version it stands for every version.
bool names_product(const VexStatement& statement, std::string_view purl) {
  const auto wanted = packaging::Purl::parse(purl);
  if (!wanted) return false;
  return std::any_of(statement.products.begin(), statement.products.end(),
                     [&](const auto& product) {
                       const auto named = packaging::Purl::parse(product);
                       return named && key_of_purl(product) == key_of_purl(purl) &&
                              (named->version.empty() || named->version == wanted->version) &&
                              (named->subpath.empty() || named->subpath == wanted->subpath) &&
                              std::includes(wanted->qualifiers.begin(), wanted->qualifiers.end(),
                                            named->qualifiers.begin(), named->qualifiers.end());
                     });
}

}  // namespace

Result<std::vector<VexStatement>> parse_vex(std::string_view json) {
  auto document = codec::JsonDocument::parse(json, {limits::kDepsFileBytesMax, 32});
  if (!document) return broken("not JSON: " + document.error().message);
  const JsonValue root = document->root();
  const auto statements = root.find("statements");
  if (!text_of(root, "@context").starts_with("https://openvex.dev/ns") || !statements ||
      !statements->is(JsonKind::kArray)) {
    return broken("expected an OpenVEX document: \"@context\" of openvex.dev and \"statements\"");
  }
  std::vector<VexStatement> out;
  MLXGUARD_TRY(statements->each_element([&](std::size_t, JsonValue one) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(VexStatement statement, read_statement(one));
    statement.author = text_of(root, "author");
    statement.document = text_of(root, "@id");
    std::string time = text_of(one, "timestamp");
    if (time.empty()) time = text_of(root, "timestamp");
    if (!time.empty()) {
      const auto timestamp = moment_of(time);
      if (!timestamp) return broken("a time that is none").about(statement.vulnerabilities.front());
      statement.timestamp_ms = *timestamp;
    }
    out.push_back(std::move(statement));
    return {};
  }));
  return out;
}

const VexStatement* find_suppression(const std::vector<VexStatement>& statements,
                                     const std::vector<std::string>& ids, std::string_view purl,
                                     const std::vector<std::string>& applications) {
  const VexStatement* newest = nullptr;
  for (const VexStatement& statement : statements) {
    const bool named = std::any_of(ids.begin(), ids.end(), [&](const std::string& id) {
      return std::find(statement.vulnerabilities.begin(), statement.vulnerabilities.end(), id) !=
             statement.vulnerabilities.end();
    });
    const bool newer = newest == nullptr || statement.timestamp_ms >= newest->timestamp_ms;
    if (named && newer && is_about(statement, applications) && names_product(statement, purl)) {
      newest = &statement;
    }
  }
  return newest != nullptr && suppresses(*newest) ? newest : nullptr;
}

bool suppresses(const VexStatement& statement) {
  return statement.status == "not_affected" || statement.status == "fixed";
}

bool is_about(const VexStatement& statement, const std::vector<std::string>& applications) {
  if (statement.applications.empty()) return true;
  return std::any_of(
      statement.applications.begin(), statement.applications.end(), [&](const std::string& one) {
        return std::any_of(applications.begin(), applications.end(), [&](const std::string& given) {
          if (one == given) return true;
          const auto named = packaging::Purl::parse(one), looked_at = packaging::Purl::parse(given);
          if (!named || !looked_at || key_of_purl(one) != key_of_purl(given)) return false;
          return named->version.empty() || named->version == looked_at->version;
        });
      });
}

Result<std::vector<ExploitedEntry>> parse_kev(std::string_view json) {
  const auto refused = [](std::string why) {
    return make_error(ErrorCode::kAdvisoryRecord,
                      "expected CISA's catalog in JSON: " + std::move(why));
  };
  auto document = codec::JsonDocument::parse(json, {limits::kDepsFileBytesMax, 32});
  if (!document) return refused(document.error().message);
  const auto list = document->root().find("vulnerabilities");
  if (!list || !list->is(JsonKind::kArray)) return refused("no \"vulnerabilities\"");
  std::vector<ExploitedEntry> out;
  MLXGUARD_TRY(list->each_element([&](std::size_t, JsonValue one) -> Result<void> {
    if (!one.is(JsonKind::kObject)) return refused("an entry that is no object");
    ExploitedEntry entry{text_of(one, "cveID"), text_of(one, "dateAdded")};
    if (entry.cve.empty()) return refused("an entry without cveID");
    out.push_back(std::move(entry));
    return {};
  }));
  std::sort(out.begin(), out.end(),
            [](const auto& left, const auto& right) { return left.cve < right.cve; });
  return out;
}

}  // namespace mlxguard::advisories
