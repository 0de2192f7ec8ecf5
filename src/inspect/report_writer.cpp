// SPDX-License-Identifier: Apache-2.0
#include "inspect/report_writer.h"

#include <algorithm>

#include "base/percent.h"

namespace mlxguard::inspect {
namespace {

std::int64_t signed_of(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(value, INT64_MAX));
}

/// SARIF knows three levels; how bad within them is `security-severity`, as code hosts read it.
std::string_view level_of(Severity severity) {
  if (severity >= Severity::kHigh) return "error";
  return severity == Severity::kMedium ? "warning" : "note";
}

const char* score_of(Severity severity) {
  switch (severity) {
    case Severity::kCritical:
      return "9.5";
    case Severity::kHigh:
      return "8.0";
    case Severity::kMedium:
      return "5.5";
    case Severity::kLow:
      return "3.0";
    case Severity::kInfo:
      return "0.0";
  }
  return "0.0";
}

/// RFC 3986: what is not unreserved (or '/') is percent-encoded.
std::string uri_of(std::string_view name) { return percent_encode(name, "-._~/"); }

void write_text(codec::JsonWriter& json, std::string_view key, std::string_view text) {
  json.key(key).begin_object().field("text", text).end_object();
}

void write_rule(codec::JsonWriter& json, const RuleRow& row) {
  json.begin_object().field("id", row.id);
  write_text(json, "shortDescription", row.title);
  write_text(json, "fullDescription", row.meaning);
  write_text(json, "help", row.help);
  json.key("defaultConfiguration")
      .begin_object()
      .field("level", level_of(row.severity))
      .end_object();
  json.key("properties").begin_object().field("security-severity", score_of(row.severity));
  json.field("severity", name_of(row.severity));
  json.key("tags").begin_array().string("security").end_array().end_object();
  json.end_object();
}

std::string message_of(const Finding& finding) {
  std::string text = finding.reason;
  if (!finding.inside.empty()) text += " (in " + finding.inside + ")";
  if (!finding.evidence.empty()) text += ": " + finding.evidence;
  return text;
}

void write_result(codec::JsonWriter& json, const Finding& finding) {
  const RuleRow& row = describe(finding.rule);
  json.begin_object().field("ruleId", row.id);
  json.field("ruleIndex", static_cast<std::int64_t>(finding.rule));
  json.field("level", level_of(finding.severity));
  write_text(json, "message", message_of(finding));
  json.key("locations").begin_array().begin_object().key("physicalLocation").begin_object();
  json.key("artifactLocation").begin_object().field("uri", uri_of(finding.file));
  json.field("uriBaseId", "MODEL").end_object();
  // An offset inside of an archive's entry is none of the archive.
  if (finding.inside.empty() && (finding.line || finding.offset)) {
    json.key("region").begin_object();
    if (finding.line) json.field("startLine", signed_of(*finding.line));
    if (finding.offset) json.field("byteOffset", signed_of(*finding.offset));
    json.end_object();
  }
  json.end_object();
  if (!finding.inside.empty()) {
    json.key("logicalLocations").begin_array().begin_object();
    json.field("fullyQualifiedName", finding.file + "!" + finding.inside).field("kind", "member");
    json.end_object().end_array();
  }
  json.end_object().end_array();
  json.key("properties").begin_object().field("severity", name_of(finding.severity));
  json.field("security-severity", score_of(finding.severity)).end_object();
  json.end_object();
}

void write_finding(codec::JsonWriter& json, const Finding& finding) {
  const RuleRow& row = describe(finding.rule);
  json.begin_object().field("rule", row.id).field("severity", name_of(finding.severity));
  json.field("file", finding.file);
  if (!finding.inside.empty()) json.field("inside", finding.inside);
  if (finding.offset) json.field("offset", signed_of(*finding.offset));
  if (finding.line) json.field("line", signed_of(*finding.line));
  json.field("reason", finding.reason);
  if (!finding.evidence.empty()) json.field("evidence", finding.evidence);
  json.field("meaning", row.meaning).field("help", row.help).end_object();
}

}  // namespace

std::string_view status_of(const Report& report) {
  if (!report.complete()) return "incomplete";
  return report.worst().value_or(Severity::kInfo) > Severity::kInfo ? "findings" : "clean";
}

std::string to_json(const Report& report) {
  codec::JsonWriter json;
  json.begin_object().field("status", status_of(report)).field("model", report.model);
  json.key("complete").boolean(report.complete());
  json.field("files", static_cast<std::int64_t>(report.files.size()));
  json.field("bytes", signed_of(report.bytes));
  json.key("totals").begin_object();
  for (int level = static_cast<int>(Severity::kLast); level >= 0; --level) {
    const auto severity = static_cast<Severity>(level);
    json.field(name_of(severity), static_cast<std::int64_t>(report.count(severity)));
  }
  json.end_object().key("findings").begin_array();
  for (const Finding& finding : report.findings) write_finding(json, finding);
  json.end_array().key("inspected").begin_array();
  for (const InspectedFile& file : report.files) {
    json.begin_object().field("file", file.name).field("format", file.format);
    json.field("bytes", signed_of(file.size_bytes)).end_object();
  }
  json.end_array().key("not_inspected").begin_array();
  for (const NotInspected& gap : report.not_inspected) {
    json.begin_object().field("file", gap.file).field("why", gap.why).end_object();
  }
  json.end_array().end_object();
  return std::move(json).take();
}

std::string to_sarif(const Report& report, std::string_view tool_version) {
  codec::JsonWriter json;
  json.begin_object();
  json.field("$schema", "https://json.schemastore.org/sarif-2.1.0.json").field("version", "2.1.0");
  json.key("runs").begin_array().begin_object();
  json.key("tool").begin_object().key("driver").begin_object().field("name", "mlxguard");
  json.field("semanticVersion", tool_version).key("rules").begin_array();
  for (const RuleRow& row : rules()) write_rule(json, row);
  json.end_array().end_object().end_object();
  json.key("originalUriBaseIds").begin_object().key("MODEL").begin_object();
  json.key("description").begin_object().field("text", "The model that was inspected");
  json.end_object().end_object().end_object();
  json.key("invocations").begin_array().begin_object();
  json.key("executionSuccessful").boolean(report.complete());
  json.key("toolExecutionNotifications").begin_array();
  for (const NotInspected& gap : report.not_inspected) {
    json.begin_object().field("level", "error");
    write_text(json, "message", gap.file + " was not inspected: " + gap.why);
    json.end_object();
  }
  json.end_array().end_object().end_array();
  json.key("artifacts").begin_array();
  for (const InspectedFile& file : report.files) {
    json.begin_object().key("location").begin_object().field("uri", uri_of(file.name));
    json.field("uriBaseId", "MODEL")
        .end_object()
        .field("length", signed_of(file.size_bytes))
        .end_object();
  }
  json.end_array().key("results").begin_array();
  for (const Finding& finding : report.findings) write_result(json, finding);
  json.end_array().field("columnKind", "utf16CodeUnits").end_object().end_array().end_object();
  return std::move(json).take();
}

}  // namespace mlxguard::inspect
