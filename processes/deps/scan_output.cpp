// SPDX-License-Identifier: Apache-2.0
#include "scan_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <tuple>

#include "base/ascii.h"
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
  if (verdict <= Verdict::kAccepted) return Style::kDim;
  return verdict == Verdict::kVulnerable ? Style::kBad : Style::kWarn;
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
  if (finding.accepted) {
    output.line("    " + output.styled(Style::kDim, printable(words_of(*finding.accepted))));
  }
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

/// The first few: a thousand names hide what else there is to read.
std::string few_of(const std::vector<std::string>& names) {
  const std::size_t shown = names.size() <= kNamesShown + 1 ? names.size() : kNamesShown;
  std::string text = joined(std::span(names).first(shown), ", ");
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

/// Components of which nothing is known, by reason: one line a reason, not one a component.
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

void write_acceptance(codec::JsonWriter& json,
                      const std::optional<advisories::Acceptance>& accepted) {
  if (!accepted) {
    json.null();
    return;
  }
  json.begin_object().field("reason", accepted->reason).field("author", accepted->author);
  json.field("expires", accepted->expires).end_object();
}

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
  json.key("accepted");
  write_acceptance(json, finding.accepted);
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
    json.key("accepted").boolean(one.accepted);
    if (one.acceptance) {
      json.key("acceptance");
      write_acceptance(json, one.acceptance);
    }
    json.end_object();
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

std::string counts_of(const Report& report) {
  std::string text = fmt::format("{} components: {} clean", report.components.size(),
                                 report.count(Verdict::kClean));
  for (const auto& [verdict, word] :
       {std::pair{Verdict::kSuppressed, "suppressed"}, {Verdict::kAccepted, "accepted"}}) {
    if (report.count(verdict) > 0) text += fmt::format(", {} {}", report.count(verdict), word);
  }
  return text + fmt::format(", {} vulnerable, {} could not tell",
                            report.count(Verdict::kVulnerable),
                            report.count(Verdict::kCouldNotTell));
}

std::string words_of(const advisories::BaselineEntry& entry) {
  return (entry.package.empty() ? entry.where : entry.package) + " " +
         (entry.id.empty() ? entry.unknown : entry.id);
}

void print_baseline(const Output& output, const advisories::BaselineUse& use) {
  for (const advisories::BaselineEntry* one : use.expired) {
    output.line(output.styled(Style::kWarn, "expired       ") + "  " + printable(words_of(*one)) +
                printable(", accepted until " + one->expires + " by " + one->author));
  }
  for (const advisories::BaselineEntry* one : use.unused) {
    output.line(output.styled(Style::kDim, "unused        ") + "  " + printable(words_of(*one)) +
                ": the baseline accepts it, and it is not here");
  }
}

void print_unused_vex(const Output& output, const Report& report,
                      const advisories::Knowledge& knowledge) {
  for (const advisories::VexStatement* one : report.unused_vex) {
    std::string why = ": suppressed nothing that is here";
    if (!is_about(*one, knowledge.vex_products)) {
      why = ": it is about another product; --vex-product " + one->applications.front() +
            " says that this is what was scanned";
    }
    output.line(output.styled(Style::kWarn, "unused        ") + "  " +
                printable("VEX statement about " + one->vulnerabilities.front() + why));
  }
}

void write_unused_vex(codec::JsonWriter& json, const Report& report) {
  json.key("unused_vex").begin_array();
  for (const advisories::VexStatement* one : report.unused_vex) {
    json.begin_object().field("vulnerability", one->vulnerabilities.front());
    json.field("document", one->document).key("products").begin_array();
    for (const std::string& product : one->products) json.string(product);
    json.end_array().key("applications").begin_array();
    for (const std::string& application : one->applications) json.string(application);
    json.end_array().end_object();
  }
  json.end_array();
}

void write_baseline(codec::JsonWriter& json, const ScanContext& context) {
  json.key("baseline");
  if (!context.has_baseline) {
    json.null();
    return;
  }
  json.begin_object().field("used", static_cast<std::int64_t>(context.baseline.used));
  for (const auto& [key, all] : {std::pair{"expired", &context.baseline.expired},
                                 {"unused", &context.baseline.unused}}) {
    json.key(key).begin_array();
    for (const advisories::BaselineEntry* one : *all) {
      json.begin_object().field("package", one->package).field("id", one->id);
      json.field("unknown", one->unknown).field("expires", one->expires).end_object();
    }
    json.end_array();
  }
  json.end_object();
}

void write_counts(codec::JsonWriter& json, const Report& report) {
  json.key("counts").begin_object();
  for (const Verdict verdict : {Verdict::kClean, Verdict::kSuppressed, Verdict::kAccepted,
                                Verdict::kCouldNotTell, Verdict::kVulnerable}) {
    json.field(name_of(verdict), static_cast<std::int64_t>(report.count(verdict)));
  }
  json.end_object();
}

}  // namespace

std::string words_of(const advisories::Acceptance& accepted) {
  return "accepted: " + accepted.reason + ", says " + accepted.author + ", until " +
         accepted.expires;
}

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
  output.line(counts_of(report));
  print_baseline(output, context.baseline);
  print_unused_vex(output, report, context.knowledge);
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
  write_counts(json, report);
  write_baseline(json, context);
  write_unused_vex(json, report);
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

}  // namespace mlxguard::cli
