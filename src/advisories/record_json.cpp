// SPDX-License-Identifier: Apache-2.0
#include "advisories/record_json.h"

#include "codec/json.h"

namespace mlxguard::advisories {
namespace {

std::string_view name_of(Range::Kind kind) {
  switch (kind) {
    case Range::Kind::kGit:
      return "GIT";
    case Range::Kind::kSemver:
      return "SEMVER";
    case Range::Kind::kEcosystem:
      return "ECOSYSTEM";
  }
  return {};
}

std::string_view name_of(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::kIntroduced:
      return "introduced";
    case Event::Kind::kFixed:
      return "fixed";
    case Event::Kind::kLastAffected:
      return "last_affected";
    case Event::Kind::kLimit:
      return "limit";
  }
  return {};
}

void write_severities(codec::JsonWriter& json, const std::vector<Severity>& severities) {
  json.key("severity").begin_array();
  for (const Severity& one : severities) {
    if (one.type == "word") continue;
    json.begin_object().field("type", one.type).field("score", one.text).end_object();
  }
  json.end_array();
  for (const Severity& one : severities) {
    if (one.type != "word") continue;
    json.key("database_specific").begin_object().field("severity", one.text).end_object();
    return;
  }
}

void write_ranges(codec::JsonWriter& json, const Affected& affected) {
  json.key("ranges").begin_array();
  for (const Range& range : affected.ranges) {
    json.begin_object().field("type", name_of(range.kind)).key("events").begin_array();
    // Commits are not compared; that there is such a range is what counts.
    if (range.kind != Range::Kind::kGit) {
      for (const Event& event : range.events) {
        json.begin_object().field(name_of(event.kind), event.version).end_object();
      }
    }
    json.end_array().end_object();
  }
  json.end_array();
}

void write_texts(codec::JsonWriter& json, std::string_view key,
                 const std::vector<std::string>& texts) {
  json.key(key).begin_array();
  for (const std::string& text : texts) json.string(text);
  json.end_array();
}

}  // namespace

std::string to_json(const Record& record, const Affected& affected) {
  codec::JsonWriter json;
  json.begin_object().field("id", record.id).field("modified", record.modified);
  json.field("published", record.published).field("summary", record.summary);
  json.field("details", record.details);
  write_texts(json, "aliases", record.aliases);
  if (!record.link.empty()) {
    json.key("references").begin_array().begin_object().field("type", "ADVISORY");
    json.field("url", record.link).end_object().end_array();
  }
  write_severities(json, record.severities);
  json.key("affected").begin_array().begin_object().key("package").begin_object();
  const bool pypi = affected.key.starts_with("pypi/");
  json.field("name", affected.name).field("ecosystem", pypi ? "PyPI" : "");
  if (!pypi) json.field("purl", "pkg:" + affected.key);
  json.end_object();
  write_ranges(json, affected);
  write_texts(json, "versions", affected.versions);
  json.key("severity").begin_array();
  for (const Severity& one : affected.severities) {
    json.begin_object().field("type", one.type).field("score", one.text).end_object();
  }
  json.end_array().end_object().end_array().end_object();
  return std::move(json).take();
}

}  // namespace mlxguard::advisories
