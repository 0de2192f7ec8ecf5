// SPDX-License-Identifier: Apache-2.0
#include "scan_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/percent.h"
#include "codec/json.h"
#include "inventory/builder.h"

namespace mlxguard::cli {
namespace {

using advisories::ComponentReport;
using advisories::Finding;
using advisories::Report;
using advisories::Verdict;

constexpr std::size_t kNamesShown = 8;

Style style_of(Verdict verdict) {
  if (verdict == Verdict::kClean) return Style::kGood;
  return verdict == Verdict::kVulnerable ? Style::kBad : Style::kWarn;
}

std::string joined(const std::vector<std::string>& texts, std::string_view between) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : std::string(between)) + text;
  return out;
}

std::string named(const ComponentReport& report) {
  const auto& [name, version] = std::tie(report.component->name, report.component->version);
  return printable(version.empty() ? name : name + " " + version);
}

/// The highest score, with who gave it: "high 8.1 (GHSA-...)".
std::string rating_text(const Finding& finding) {
  const advisories::Rating* best = nullptr;
  for (const advisories::Rating& one : finding.ratings) {
    if (best == nullptr || one.score.value_or(-1) > best->score.value_or(-1)) best = &one;
  }
  if (best == nullptr) return "not rated";
  if (!best->score)
    return (best->rating.empty() ? best->vector : best->rating) + " (" + best->source + ")";
  return fmt::format("{} {:.1f} ({})", best->rating, *best->score, best->source);
}

void print_finding(const Output& output, const Finding& finding) {
  std::string line = "  " + output.styled(Style::kBold, printable(finding.id)) + "  " +
                     printable(rating_text(finding));
  if (!finding.fixed_in.empty()) line += "  fixed in " + printable(joined(finding.fixed_in, ", "));
  if (!finding.exploited_since.empty()) {
    line +=
        "  " + output.styled(Style::kBad, "exploited since " + printable(finding.exploited_since));
  }
  output.line(line);
  if (!finding.summary.empty()) output.line("    " + printable(finding.summary));
  if (!finding.suppressed) return;
  const auto& vex = *finding.suppressed;
  const std::string why = vex.justification.empty() ? vex.impact : vex.justification;
  output.line(
      "    " +
      output.styled(Style::kDim, printable("suppressed: " + vex.status + ", " + why +
                                           (vex.author.empty() ? "" : ", says " + vex.author))));
}

void print_component(const Output& output, const ComponentReport& report) {
  std::string line =
      output.styled(style_of(report.verdict), fmt::format("{:14}", name_of(report.verdict)));
  line += "  " + named(report);
  if (report.path.size() > 1)
    line += output.styled(Style::kDim, "  by way of " + printable(joined(report.path, " > ")));
  output.line(line);
  for (const Finding& finding : report.findings) print_finding(output, finding);
  for (const auto& unknown : report.unknowns) {
    if (report.findings.empty()) continue;  // grouped below otherwise
    output.line("  " + output.styled(Style::kWarn, name_of(unknown.reason)) + "  " +
                printable(unknown.text));
  }
}

/// Components of which nothing is known, by reason: one line a reason, not one a component.
/// The first few: a thousand names hide what else there is to read.
std::string few_of(const std::vector<std::string>& names) {
  const std::size_t shown = names.size() <= kNamesShown + 1 ? names.size() : kNamesShown;
  std::string text =
      joined({names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown)}, ", ");
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

void print_unknown(const Output& output, const Report& report) {
  std::map<std::pair<std::string_view, bool>, std::vector<std::string>> groups;
  for (const ComponentReport& one : report.components) {
    if (!one.findings.empty()) continue;
    for (const auto& unknown : one.unknowns) {
      const bool detailed = unknown.reason == advisories::Reason::kVersion ||
                            unknown.reason == advisories::Reason::kRange;
      groups[{name_of(unknown.reason), unknown.accepted}].push_back(
          named(one) + (detailed ? " (" + printable(unknown.text) + ")" : ""));
    }
  }
  for (auto& [group, names] : groups) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    const auto& [reason, accepted] = group;
    output.line(output.styled(accepted ? Style::kDim : Style::kWarn,
                              accepted ? "accepted      " : "could-not-tell") +
                fmt::format("  {} ({}): {}", reason, names.size(), few_of(names)));
  }
  for (const auto& unknown : report.unknowns) {
    output.line(output.styled(unknown.accepted ? Style::kDim : Style::kWarn,
                              unknown.accepted ? "accepted      " : "could-not-tell") +
                fmt::format("  {}: {}", name_of(unknown.reason), printable(unknown.text)));
  }
}

std::string_view word_of(const inventory::Observation& one) { return inventory::name_of(one.kind); }

void write_finding(codec::JsonWriter& json, const Finding& finding) {
  json.begin_object().field("id", finding.id).key("ids").begin_array();
  for (const std::string& id : finding.ids) json.string(id);
  json.end_array().field("summary", finding.summary).field("link", finding.link);
  json.key("ratings").begin_array();
  for (const advisories::Rating& one : finding.ratings) {
    json.begin_object().field("source", one.source).field("vector", one.vector);
    json.field("rating", one.rating).key("score");
    if (one.score)
      json.number(*one.score);
    else
      json.null();
    json.end_object();
  }
  json.end_array().key("fixed_in").begin_array();
  for (const std::string& version : finding.fixed_in) json.string(version);
  json.end_array().key("exploited_since");
  if (finding.exploited_since.empty())
    json.null();
  else
    json.string(finding.exploited_since);
  json.key("suppressed");
  if (finding.suppressed) {
    json.begin_object().field("status", finding.suppressed->status);
    json.field("justification", finding.suppressed->justification);
    json.field("statement", finding.suppressed->impact).field("author", finding.suppressed->author);
    json.field("document", finding.suppressed->document).end_object();
  } else {
    json.null();
  }
  json.end_object();
}

void write_unknowns(codec::JsonWriter& json, const std::vector<advisories::Unknown>& unknowns) {
  json.key("could_not_tell").begin_array();
  for (const auto& one : unknowns) {
    json.begin_object().field("reason", name_of(one.reason)).field("text", one.text);
    json.key("accepted").boolean(one.accepted).end_object();
  }
  json.end_array();
}

void write_database(codec::JsonWriter& json, std::string_view key,
                    const advisories::Database* database) {
  json.key(key);
  if (database == nullptr) {
    json.null();
    return;
  }
  const advisories::DatabaseInfo& info = database->info();
  json.begin_object().field("source", info.source).field("sha256", info.source_sha256);
  json.field("newest", info.newest).field("records", static_cast<std::int64_t>(info.records));
  json.field("skipped", static_cast<std::int64_t>(info.skipped))
      .field("digest", info.digest)
      .end_object();
}

/// Below zero: no rating has a score.
double highest_score(const Finding& finding) {
  double highest = -1;
  for (const advisories::Rating& one : finding.ratings)
    highest = std::max(highest, one.score.value_or(-1));
  return highest;
}

/// "error" for what is critical, high or exploited.
std::string_view level_of(const Finding& finding) {
  const double highest = highest_score(finding);
  if (highest < 0 || highest >= 7 || !finding.exploited_since.empty()) return "error";
  return "warning";
}

/// A path as SARIF wants it: a relative URI reference.
std::string uri_of(std::string_view path) {
  return path.empty() ? "." : percent_encode(path, "-._~/@+=,");
}

void write_location(codec::JsonWriter& json, const std::string& path) {
  json.key("locations").begin_array().begin_object().key("physicalLocation").begin_object();
  json.key("artifactLocation").begin_object().field("uri", uri_of(path));
  json.end_object().end_object().end_object().end_array();
}

void write_result(codec::JsonWriter& json, const std::string& rule, std::string_view level,
                  const std::string& text, const std::string& where) {
  json.begin_object().field("ruleId", rule).field("level", level);
  json.key("message").begin_object().field("text", text).end_object();
  write_location(json, where);
}

void write_results(codec::JsonWriter& json, const Report& report) {
  for (const ComponentReport& one : report.components) {
    const std::string what = one.component->name + " " + one.component->version;
    for (const Finding& finding : one.findings) {
      std::string text = what + ": " + (finding.summary.empty() ? finding.id : finding.summary);
      if (!finding.fixed_in.empty()) text += " (fixed in " + joined(finding.fixed_in, ", ") + ")";
      write_result(json, finding.id, level_of(finding), text, one.component->location);
      if (finding.suppressed) {
        json.key("suppressions").begin_array().begin_object().field("kind", "external");
        json.field("justification",
                   finding.suppressed->justification + " " + finding.suppressed->impact);
        json.end_object().end_array();
      }
      json.end_object();
    }
    for (const auto& unknown : one.unknowns) {
      if (unknown.accepted) continue;
      write_result(json, "deps.could_not_tell", "warning", what + ": " + unknown.text,
                   one.component->location);
      json.end_object();
    }
  }
  for (const auto& unknown : report.unknowns) {
    if (unknown.accepted) continue;
    write_result(json, "deps.could_not_tell", "warning", unknown.text, {});
    json.end_object();
  }
  for (const inventory::Observation* one : report.observations) {
    const bool altered = one->kind == inventory::Observation::Kind::kRecordMismatch;
    write_result(json, "deps." + std::string(word_of(*one)), altered ? "error" : "note",
                 one->error.message, one->where);
    json.end_object();
  }
}

}  // namespace

void print_scan(const Output& output, const Report& report, const ScanContext& context) {
  for (const ComponentReport& one : report.components) {
    if (!one.findings.empty() || (context.all && one.verdict == Verdict::kClean))
      print_component(output, one);
  }
  print_unknown(output, report);
  for (const inventory::Observation* one : report.observations) {
    output.line(output.styled(Style::kWarn, fmt::format("{:14}", word_of(*one))) + "  " +
                printable(one->where) + "  " + printable(one->error.message));
  }
  output.line(fmt::format("{} components: {} clean, {} vulnerable, {} could not tell",
                          report.components.size(), report.count(Verdict::kClean),
                          report.count(Verdict::kVulnerable),
                          report.count(Verdict::kCouldNotTell)));
  if (const advisories::Database* database = context.knowledge.osv) {
    const auto& info = database->info();
    output.line(output.styled(
        Style::kDim,
        printable(fmt::format(
            "advisories: {} of {}, newest change {}{}", info.records, info.source, info.newest,
            info.skipped == 0 ? std::string()
                              : fmt::format(", {} broken and left out", info.skipped)))));
  }
  if (report.count(Verdict::kCouldNotTell) > 0 || !report.unknowns.empty()) {
    output.line(
        output.styled(Style::kDim,
                      "could-not-tell: --json lists all; what you know to be well is accepted "
                      "by name (--accept REASON or PACKAGE)"));
  }
  output.line("verdict: " + output.styled(style_of(report.verdict), name_of(report.verdict)));
}

std::string scan_json(const Report& report, const ScanContext& context) {
  codec::JsonWriter json;
  json.begin_object()
      .field("verdict", name_of(report.verdict))
      .field("root", context.inventory.root);
  write_database(json, "database", context.knowledge.osv);
  write_database(json, "feed", context.knowledge.feed);
  write_unknowns(json, report.unknowns);
  json.key("components").begin_array();
  for (const ComponentReport& one : report.components) {
    json.begin_object().field("name", one.component->name).field("version", one.component->version);
    json.field("purl", one.component->purl).field("kind", inventory::name_of(one.component->kind));
    json.field("verdict", name_of(one.verdict)).key("path").begin_array();
    for (const std::string& step : one.path) json.string(step);
    json.end_array().key("findings").begin_array();
    for (const Finding& finding : one.findings) write_finding(json, finding);
    json.end_array();
    write_unknowns(json, one.unknowns);
    json.end_object();
  }
  json.end_array().key("observations").begin_array();
  for (const inventory::Observation* one : report.observations) {
    json.begin_object().field("kind", word_of(*one)).field("where", one->where);
    json.field("code", name_of(one->error.code)).field("text", one->error.message).end_object();
  }
  json.end_array().end_object();
  return std::move(json).take();
}

std::string scan_sarif(const Report& report, const ScanContext& context) {
  codec::JsonWriter json;
  json.begin_object()
      .field("$schema", "https://json.schemastore.org/sarif-2.1.0.json")
      .field("version", "2.1.0");
  json.key("runs")
      .begin_array()
      .begin_object()
      .key("tool")
      .begin_object()
      .key("driver")
      .begin_object();
  json.field("name", "mlxguard")
      .field("semanticVersion", MLXGUARD_VERSION)
      .key("rules")
      .begin_array();
  std::map<std::string, const Finding*> rules;
  for (const ComponentReport& one : report.components) {
    for (const Finding& finding : one.findings) rules.emplace(finding.id, &finding);
  }
  for (const auto& [id, finding] : rules) {
    json.begin_object().field("id", id).key("shortDescription").begin_object();
    json.field("text", finding->summary.empty() ? id : finding->summary).end_object();
    if (finding->link.starts_with("https://") || finding->link.starts_with("http://"))
      json.field("helpUri", finding->link);
    if (const double score = highest_score(*finding); score >= 0) {  // code hosts sort by it
      json.key("properties")
          .begin_object()
          .field("security-severity", fmt::format("{:.1f}", score));
      json.end_object();
    }
    json.end_object();
  }
  json.begin_object().field("id", "deps.could_not_tell").key("shortDescription").begin_object();
  json.field("text", "it could not be told whether a dependency is vulnerable")
      .end_object()
      .end_object();
  json.end_array().end_object().end_object().key("results").begin_array();
  write_results(json, report);
  json.end_array().key("properties").begin_object().field("verdict", name_of(report.verdict));
  json.field("root", context.inventory.root).end_object().end_object().end_array().end_object();
  return std::move(json).take();
}

}  // namespace mlxguard::cli
