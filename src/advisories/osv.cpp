// SPDX-License-Identifier: Apache-2.0
#include "advisories/osv.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "packaging/name.h"
#include "packaging/purl.h"

namespace mlxguard::advisories {
namespace {

using codec::JsonKind;
using codec::JsonValue;

Error broken(std::string message) {
  return make_error(ErrorCode::kAdvisoryRecord, std::move(message));
}

/// A member that may be missing; present, it must be a string.
Result<std::string> text_of(JsonValue object, std::string_view key) {
  const auto value = object.find(key);
  if (!value || value->is(JsonKind::kNull)) return std::string();
  MLXGUARD_TRY_ASSIGN(const std::string_view text, value->as_string(key));
  return std::string(text);
}

/// Elements of a member that may be missing; present, it must be an array of at most `most`.
Result<void> each(JsonValue object, std::string_view key, std::size_t most,
                  const std::function<Result<void>(JsonValue)>& visit) {
  const auto value = object.find(key);
  if (!value || value->is(JsonKind::kNull)) return {};
  if (!value->is(JsonKind::kArray)) return broken("expected an array: " + std::string(key));
  if (value->size() > most)
    return broken("more elements than any real record has: " + std::string(key));
  return value->each_element([&](std::size_t, JsonValue element) { return visit(element); });
}

Result<void> read_severities(JsonValue object, std::string_view source,
                             std::vector<Severity>& out) {
  return each(object, "severity", limits::kAdvisoryItemsMax, [&](JsonValue one) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(std::string type, text_of(one, "type"));
    MLXGUARD_TRY_ASSIGN(std::string score, text_of(one, "score"));
    if (!type.empty() && !score.empty()) {
      out.push_back({std::string(source), std::move(type), std::move(score)});
    }
    return {};
  });
}

/// GitHub's own word, "MODERATE", where a record has no vector of its own.
Result<void> read_word(JsonValue object, std::vector<Severity>& out) {
  const auto specific = object.find("database_specific");
  if (!specific || !specific->is(JsonKind::kObject)) return {};
  const auto word = specific->find("severity");
  if (!word || !word->is(JsonKind::kString)) return {};
  MLXGUARD_TRY_ASSIGN(const std::string_view text, word->as_string());
  if (!text.empty()) out.push_back({"database", "word", std::string(text)});
  return {};
}

/// All that one object says: the schema wants one of them, older records have several.
Result<void> read_events(JsonValue one, std::vector<Event>& out) {
  constexpr std::pair<std::string_view, Event::Kind> kKinds[] = {
      {"introduced", Event::Kind::kIntroduced},
      {"fixed", Event::Kind::kFixed},
      {"last_affected", Event::Kind::kLastAffected},
      {"limit", Event::Kind::kLimit},
  };
  bool known = false;
  for (const auto& [key, kind] : kKinds) {
    if (!one.find(key)) continue;
    MLXGUARD_TRY_ASSIGN(std::string version, text_of(one, key));
    out.push_back({kind, std::move(version)});
    known = true;
  }
  if (!known) return broken("an event that is none of introduced, fixed, last_affected and limit");
  return {};
}

Result<Range> read_range(JsonValue one) {
  Range range;
  MLXGUARD_TRY_ASSIGN(const std::string type, text_of(one, "type"));
  if (type == "GIT") {
    range.kind = Range::Kind::kGit;
  } else if (type == "SEMVER") {
    range.kind = Range::Kind::kSemver;
  } else if (type != "ECOSYSTEM") {
    return broken("a range of a type that is not known: " + type);
  }
  MLXGUARD_TRY(each(one, "events", limits::kAdvisoryItemsMax,
                    [&](JsonValue event) { return read_events(event, range.events); }));
  return range;
}

Result<Affected> read_affected(JsonValue one) {
  Affected affected;
  const auto package = one.find("package");
  if (package && package->is(JsonKind::kObject)) {
    MLXGUARD_TRY_ASSIGN(affected.name, text_of(*package, "name"));
    MLXGUARD_TRY_ASSIGN(affected.key, key_of_package(*package));
    if (affected.name.empty()) affected.name = affected.key.substr(affected.key.rfind('/') + 1);
  }
  MLXGUARD_TRY(each(one, "ranges", limits::kAdvisoryItemsMax, [&](JsonValue range) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(Range read, read_range(range));
    affected.ranges.push_back(std::move(read));
    return {};
  }));
  MLXGUARD_TRY(
      each(one, "versions", limits::kAdvisoryVersionsMax, [&](JsonValue version) -> Result<void> {
        MLXGUARD_TRY_ASSIGN(const std::string_view text, version.as_string("versions"));
        affected.versions.emplace_back(text);
        return {};
      }));
  MLXGUARD_TRY(read_severities(one, "package", affected.severities));
  return affected;
}

/// In any capitals, with any suffix: the schema knows one spelling, and a record in another one
/// would be passed over in silence.
bool is_pypi(std::string_view ecosystem) {
  return equals_ignoring_case(ecosystem.substr(0, ecosystem.find(':')), "pypi");
}

/// The advisory's own page before any other reference.
Result<std::string> read_link(JsonValue root) {
  std::string link;
  MLXGUARD_TRY(
      each(root, "references", limits::kAdvisoryItemsMax, [&](JsonValue one) -> Result<void> {
        MLXGUARD_TRY_ASSIGN(const std::string type, text_of(one, "type"));
        MLXGUARD_TRY_ASSIGN(std::string url, text_of(one, "url"));
        if (link.empty() || type == "ADVISORY") link = std::move(url);
        return {};
      }));
  return link;
}

void cut(std::string& text) {
  if (text.size() <= limits::kAdvisoryTextBytesMax) return;
  std::size_t end = limits::kAdvisoryTextBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
}

}  // namespace

std::string key_of_purl(std::string_view purl) {
  const auto parsed = packaging::Purl::parse(purl);
  if (!parsed) return {};
  if (parsed->type == "pypi") return "pypi/" + packaging::normalize_name(parsed->name);
  return parsed->type + "/" + (parsed->space.empty() ? "" : parsed->space + "/") + parsed->name;
}

Result<std::string> key_of_package(JsonValue package) {
  MLXGUARD_TRY_ASSIGN(const std::string name, text_of(package, "name"));
  MLXGUARD_TRY_ASSIGN(const std::string ecosystem, text_of(package, "ecosystem"));
  MLXGUARD_TRY_ASSIGN(const std::string purl, text_of(package, "purl"));
  if (!is_pypi(ecosystem)) return purl.empty() ? std::string() : key_of_purl(purl);
  if (name.empty()) return broken("a package without a name");
  return "pypi/" + packaging::normalize_name(name);
}

Result<Record> parse_record(std::string_view json) {
  if (json.size() > limits::kAdvisoryRecordBytesMax) {
    return broken("longer than any real record");
  }
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument document,
                      codec::JsonDocument::parse(json, {limits::kAdvisoryRecordBytesMax, 32}));
  return read_record(document.root());
}

Result<Record> read_record(JsonValue root) {
  if (!root.is(JsonKind::kObject)) return broken("expected an object");
  Record record;
  MLXGUARD_TRY_ASSIGN(record.id, text_of(root, "id"));
  if (record.id.empty() || record.id.size() > 256) return broken("a record without an id");
  MLXGUARD_TRY_ASSIGN(record.summary, text_of(root, "summary"));
  MLXGUARD_TRY_ASSIGN(record.details, text_of(root, "details"));
  MLXGUARD_TRY_ASSIGN(record.published, text_of(root, "published"));
  MLXGUARD_TRY_ASSIGN(record.modified, text_of(root, "modified"));
  if (record.modified.empty()) return broken("a record without the time of its last change");
  MLXGUARD_TRY_ASSIGN(record.withdrawn, text_of(root, "withdrawn"));
  if (!record.withdrawn.empty() && !codec::from_rfc3339(record.withdrawn)) {
    return broken("it was withdrawn at a time that is none");
  }
  MLXGUARD_TRY(
      each(root, "aliases", limits::kAdvisoryItemsMax, [&](JsonValue alias) -> Result<void> {
        MLXGUARD_TRY_ASSIGN(const std::string_view text, alias.as_string("aliases"));
        record.aliases.emplace_back(text);
        return {};
      }));
  MLXGUARD_TRY_ASSIGN(record.link, read_link(root));
  MLXGUARD_TRY(read_severities(root, "record", record.severities));
  MLXGUARD_TRY(read_word(root, record.severities));
  MLXGUARD_TRY(
      each(root, "affected", limits::kAdvisoryItemsMax, [&](JsonValue one) -> Result<void> {
        MLXGUARD_TRY_ASSIGN(Affected affected, read_affected(one));
        record.affected.push_back(std::move(affected));
        return {};
      }));
  cut(record.summary);
  cut(record.details);
  return record;
}

}  // namespace mlxguard::advisories
