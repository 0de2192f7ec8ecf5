// SPDX-License-Identifier: Apache-2.0
#include "report/sarif.h"

#include <array>
#include <charconv>
#include <map>

#include "base/percent.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/digest.h"

namespace mlxguard::report {
namespace {

constexpr std::string_view kBase = "SRCROOT";
constexpr std::string_view kPlainInPath = "-._~/@+=,";

std::string_view level_of(Severity severity) {
  constexpr std::string_view kLevels[] = {"note", "warning", "error"};
  return kLevels[static_cast<std::size_t>(severity)];
}

/// One digit after the point, as code-scanning sites want scores.
std::string score_text(double score) {
  std::array<char, 16> text{};
  const auto end =
      std::to_chars(text.begin(), text.end(), score, std::chars_format::fixed, 1).ptr;
  return {text.begin(), end};
}

using Rules = std::map<std::string, const Rule*>;

void write_text(codec::JsonWriter& json, std::string_view key, std::string_view text) {
  json.key(key).begin_object().field("text", text).end_object();
}

void write_rule(codec::JsonWriter& json, const std::string& id, const Rule* rule) {
  json.begin_object().field("id", id);
  const std::string title = rule == nullptr || rule->title.empty() ? id : rule->title;
  write_text(json, "shortDescription", title);
  if (rule != nullptr) {
    if (!rule->help.empty()) {
      json.key("help").begin_object().field("text", rule->help).field("markdown", rule->help);
      json.end_object();
    }
    if (rule->link.starts_with("https://") || rule->link.starts_with("http://")) {
      json.field("helpUri", rule->link);
    }
    json.key("defaultConfiguration").begin_object().field("level", level_of(rule->severity));
    json.end_object().key("properties").begin_object();
    json.key("tags").begin_array().string("security").end_array();
    if (rule->score) json.field("security-severity", score_text(*rule->score));
    json.end_object();
  }
  json.end_object();
}

void write_place(codec::JsonWriter& json, const Place& place) {
  json.key("locations").begin_array().begin_object().key("physicalLocation").begin_object();
  json.key("artifactLocation").begin_object();
  json.field("uri", place.path.empty() ? "." : percent_encode(place.path, kPlainInPath));
  json.field("uriBaseId", kBase).end_object();
  if (place.line > 0) {
    json.key("region").begin_object();
    json.field("startLine", static_cast<std::int64_t>(place.line)).end_object();
  }
  json.end_object().end_object().end_array();
}

/// The line is left out: it moves with every other change of the file.
std::string fingerprint(const Finding& finding) {
  const std::string text = finding.rule + "\n" + finding.identity + "\n" + finding.place.path;
  return codec::to_hex(crypto::sha256(as_bytes(text)));
}

void write_finding(codec::JsonWriter& json, const Finding& finding, std::size_t rule) {
  json.begin_object().field("ruleId", finding.rule);
  json.field("ruleIndex", static_cast<std::int64_t>(rule));
  json.field("level", level_of(finding.severity));
  write_text(json, "message", finding.text);
  write_place(json, finding.place);
  json.key("partialFingerprints").begin_object();
  json.field("mlxguardFinding/v1", fingerprint(finding)).end_object();
  if (finding.suppressed) {
    json.key("suppressions").begin_array().begin_object().field("kind", "external");
    json.field("justification", *finding.suppressed).end_object().end_array();
  }
  json.end_object();
}

}  // namespace

std::string to_sarif(const Report& report) {
  Rules rules;
  for (const Rule& rule : report.rules) rules.emplace(rule.id, &rule);
  for (const Finding& finding : report.findings) rules.emplace(finding.rule, nullptr);
  codec::JsonWriter json;
  json.begin_object().field("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
  json.field("version", "2.1.0").key("runs").begin_array().begin_object();
  json.key("tool").begin_object().key("driver").begin_object().field("name", report.tool);
  json.field("semanticVersion", report.version).key("rules").begin_array();
  std::map<std::string_view, std::size_t> index;
  for (const auto& [id, rule] : rules) {
    index.emplace(id, index.size());
    write_rule(json, id, rule);
  }
  json.end_array().end_object().end_object();
  json.key("originalUriBaseIds").begin_object().key(kBase).begin_object();
  json.field("uri", "file://" + percent_encode(report.root, kPlainInPath) +
                        (report.root.ends_with('/') ? "" : "/"));
  json.end_object().end_object().key("results").begin_array();
  for (const Finding& finding : report.findings) {
    write_finding(json, finding, index.at(finding.rule));
  }
  json.end_array().key("properties").begin_object();
  for (const auto& [name, value] : report.properties) json.field(name, value);
  json.end_object().end_object().end_array().end_object();
  return std::move(json).take();
}

}  // namespace mlxguard::report
