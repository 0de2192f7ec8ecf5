// SPDX-License-Identifier: Apache-2.0
// A scan as findings with places: of a lock file its own path and the line of the package, of an
// environment paths below it.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/ascii.h"
#include "inventory/builder.h"
#include "inventory/read.h"
#include "report/sarif.h"
#include "scan_output.h"

namespace mlxguard::cli {
namespace {

namespace fs = std::filesystem;
using advisories::ComponentReport;
using advisories::Finding;
using report::Severity;

constexpr std::string_view kUnknownRule = "deps.could_not_tell";

std::optional<double> highest_score(const Finding& finding) {
  std::optional<double> highest;
  for (const advisories::Rating& one : finding.ratings) {
    if (one.score && (!highest || *highest < *one.score)) highest = one.score;
  }
  return highest;
}

/// Critical, high, exploited and unrated ones are errors.
Severity severity_of(const Finding& finding) {
  constexpr double kHigh = 7;
  const auto score = highest_score(finding);
  return !score || *score >= kHigh || !finding.exploited_since.empty() ? Severity::kError
                                                                       : Severity::kWarning;
}

/// The folder that places are relative to, and the path of the target below it.
struct Base {
  fs::path root;
  std::string prefix;    ///< before paths of the inventory
  std::string lock;      ///< of a lock file, its own path; else empty
  std::string own_name;  ///< by which the inventory's evidence names it
};

Base base_of(const inventory::Inventory& inventory, const std::string& target) {
  std::error_code ignored;
  const fs::path here = fs::current_path(ignored);
  const fs::path path = fs::absolute(target, ignored).lexically_normal();
  Base base;
  const bool inside = !path.lexically_relative(here).generic_string().starts_with("..");
  if (fs::is_directory(path, ignored)) {
    const bool environment = inventory.source == "environment";
    base.root = environment || !inside ? path : here;
    if (!environment && inside) base.prefix = path.lexically_relative(here).generic_string() + "/";
    if (base.prefix == "./") base.prefix.clear();
    return base;
  }
  base.root = inside ? here : path.parent_path();
  base.lock = path.lexically_relative(base.root).generic_string();
  base.own_name = inventory.source == "requirements" ? inventory::requirements_place(path).name
                                                     : path.filename().string();
  return base;
}

report::Place place_of(const Base& base, const inventory::Component& component) {
  for (const inventory::Evidence& one : component.evidence) {
    if (one.kind != inventory::Evidence::Kind::kLockFile) continue;
    if (base.lock.empty()) return {base.prefix + one.where, component.line};
    return {base.lock, one.where == base.own_name ? component.line : 0};
  }
  if (!base.lock.empty()) return {base.lock, 0};
  return {base.prefix + component.location, 0};
}

std::string named(const inventory::Component& component) {
  return component.version.empty() ? component.name : component.name + " " + component.version;
}

std::string fix_words(const std::string& name, const Finding& finding) {
  if (finding.fixed_in.empty()) return "No version of " + name + " is known that ends it.";
  return "Fix: upgrade " + name + " to " + joined(finding.fixed_in) + " or later.";
}

void add_finding(const Base& base, const inventory::Component& component, const Finding& finding,
                 report::Report& out) {
  const std::string title = finding.summary.empty() ? finding.id : finding.summary;
  std::string help = title + "\n\n";
  if (!finding.details.empty()) help += finding.details + "\n\n";
  help += fix_words(component.name, finding);
  out.rules.push_back({finding.id, title, help, finding.link, highest_score(finding),
                       severity_of(finding)});
  report::Finding found;
  found.rule = finding.id;
  found.severity = severity_of(finding);
  found.text = named(component) + ": " + title;
  if (!finding.fixed_in.empty()) found.text += " (fixed in " + joined(finding.fixed_in) + ")";
  found.place = place_of(base, component);
  found.identity = component.purl;
  if (finding.suppressed) {
    found.suppressed = finding.suppressed->justification + " " + finding.suppressed->impact;
  } else if (finding.accepted) {
    found.suppressed = words_of(*finding.accepted);
  }
  out.findings.push_back(std::move(found));
}

void add_unknown(const advisories::Unknown& unknown, const std::string& what,
                 const std::string& identity, report::Place place, report::Report& out) {
  report::Finding found;
  found.rule = kUnknownRule;
  found.text = what + unknown.text;
  found.place = std::move(place);
  found.identity = identity + "|" + std::string(name_of(unknown.reason));
  if (unknown.accepted) {
    found.suppressed = unknown.acceptance ? words_of(*unknown.acceptance) : "accepted by name";
  }
  out.findings.push_back(std::move(found));
}

}  // namespace

std::string scan_sarif(const advisories::Report& report, const ScanContext& context,
                       const std::string& target) {
  const Base base = base_of(context.inventory, target);
  report::Report out;
  out.tool = "mlxguard";
  out.version = MLXGUARD_VERSION;
  out.root = base.root.generic_string();
  out.rules.push_back({std::string(kUnknownRule),
                       "it could not be told whether a dependency is vulnerable",
                       "mlxguard deps scan names the reason; what is known to be well is accepted "
                       "with --accept or a baseline.",
                       "", std::nullopt, Severity::kWarning});
  for (const ComponentReport& one : report.components) {
    for (const Finding& finding : one.findings) add_finding(base, *one.component, finding, out);
    for (const auto& unknown : one.unknowns) {
      add_unknown(unknown, named(*one.component) + ": ", one.component->purl,
                  place_of(base, *one.component), out);
    }
  }
  for (const auto& unknown : report.unknowns) {
    add_unknown(unknown, "", unknown.text, {base.lock, 0}, out);
  }
  for (const inventory::Observation* one : report.observations) {
    using Kind = inventory::Observation::Kind;
    report::Finding found;
    found.rule = "deps." + std::string(inventory::name_of(one->kind));
    found.severity = one->kind == Kind::kRecordMismatch ? Severity::kError : Severity::kNote;
    found.text = one->error.message;
    found.place = {base.lock.empty() ? base.prefix + one->where : base.lock, 0};
    found.identity = one->component + "|" + one->where;
    out.findings.push_back(std::move(found));
  }
  out.properties = {{"verdict", std::string(name_of(report.verdict))},
                    {"root", context.inventory.root}};
  return report::to_sarif(out);
}

}  // namespace mlxguard::cli
