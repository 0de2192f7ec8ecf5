// SPDX-License-Identifier: Apache-2.0
// `mlxguard deps scan`: exits 0 only when everything is clean, suppressed or accepted; 1 for a
// vulnerability, a file that differs from RECORD, or what could not be told. `mlxguard deps
// baseline`: writes all of that down as accepted.
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <memory>

#include "advisories/accepted_names.h"
#include "advisories/baseline.h"
#include "arguments.h"
#include "base/limits.h"
#include "codec/json.h"
#include "deps_commands.h"
#include "inventory/files.h"
#include "inventory/read.h"
#include "key_options.h"
#include "knowledge.h"
#include "progress.h"
#include "record/event.h"
#include "scan_output.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

using advisories::Report;
using advisories::Verdict;

struct Options {
  std::string target = ".";
  std::vector<std::string> vex, vex_products, accepted;
  std::string kev, sarif, baseline, max_age = "30d";
  bool all = false, every_lock = false, without_native = false, without_records = false;
};

std::string accepted_help() {
  std::string out = "names of packages, or why it could not be told (several: a,b):";
  for (const auto& row : advisories::reason_rows()) out += " " + std::string(row.name);
  return out;
}

void add_findings(const advisories::ComponentReport& one, std::vector<record::Event>& out) {
  for (const advisories::Finding& finding : one.findings) {
    if (!finding.is_open()) continue;
    record::Event event = record::event_of(
        record::Kind::kDepsVulnerable,
        make_error(ErrorCode::kDepsVulnerable, "a dependency has a known vulnerability"));
    event.set(Attr::kAdvisory, finding.id).set(Attr::kPackage, one.component->purl);
    event.set(Attr::kFixedIn, finding.fixed_in.empty() ? std::string() : finding.fixed_in.back());
    event.set(Attr::kExploitedSince, finding.exploited_since);
    out.push_back(std::move(event));
  }
}

/// One event a reason: hundreds of packages that nobody knows are ordinary.
void add_unknowns(const Report& report, std::vector<record::Event>& out) {
  std::map<advisories::Reason, std::vector<std::string>> by_reason;
  for (const advisories::ComponentReport& one : report.components) {
    for (const advisories::Unknown& unknown : one.unknowns) {
      if (!unknown.accepted) by_reason[unknown.reason].push_back(one.component->purl);
    }
  }
  for (const auto& [reason, purls] : by_reason) {
    const auto& row = advisories::reason_rows()[static_cast<std::size_t>(reason)];
    record::Event event = record::event_of(
        record::Kind::kDepsUnknown,
        make_error(ErrorCode::kDepsUnknown, std::string(row.meaning)));
    event.set(Attr::kPackage, purls.front()).set(Attr::kPackages, purls.size());
    event.set(Attr::kReason, name_of(reason));
    out.push_back(std::move(event));
  }
}

Result<void> log_scan(Session& session, const Options& options, const Report& report,
                      const advisories::Knowledge& knowledge) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  std::vector<record::Event> events;  // durable together: hundreds of them are ordinary
  for (const advisories::ComponentReport& one : report.components) add_findings(one, events);
  add_unknowns(report, events);
  record::Event event{.kind = record::Kind::kDepsScanned};
  event.message = "verdict: " + std::string(name_of(report.verdict));
  event.set(Attr::kRoot, options.target).set(Attr::kVerdict, std::string(name_of(report.verdict)));
  event.set(Attr::kComponents, report.components.size());
  event.set(Attr::kVulnerable, report.count(Verdict::kVulnerable));
  event.set(Attr::kCouldNotTell, report.count(Verdict::kCouldNotTell));
  if (knowledge.osv != nullptr) event.set(Attr::kDatabase, knowledge.osv->info().newest);
  std::string accepted;
  for (const std::string& name : options.accepted) accepted += (accepted.empty() ? "" : " ") + name;
  event.set(Attr::kAccepted, accepted);
  events.push_back(std::move(event));
  return log->append_all(events);
}

Result<void> write_sarif(const Options& options, const Report& report, const ScanContext& context) {
  if (options.sarif.empty()) return {};
  const std::string text = scan_sarif(report, context, options.target) + "\n";
  if (options.sarif != "-") return inventory::write_file(options.sarif, text);
  std::fputs(text.c_str(), stdout);
  return {};
}

/// What is scanned, and what came of it; the report points into the inventory.
struct Scanned {
  LoadedKnowledge loaded;
  advisories::Knowledge knowledge;
  inventory::Inventory inventory;
  Report report;
};

Result<std::unique_ptr<Scanned>> scan_target(Session& session, const Options& options) {
  auto scanned = std::make_unique<Scanned>();
  advisories::ScanOptions scan_options;
  MLXGUARD_TRY_ASSIGN(scan_options.age_max, lifetime_of(options.max_age));
  MLXGUARD_TRY_ASSIGN(scanned->loaded, load_knowledge(session, options.vex, options.kev));
  scanned->loaded.vex_products = options.vex_products;
  scanned->knowledge = scanned->loaded.view();
  inventory::ReadOptions read_options;
  if (options.without_native) read_options.native = inventory::NativeParts::kSkip;
  if (options.every_lock) read_options.locks = inventory::Locks::kEvery;
  if (options.without_records) read_options.records = inventory::RecordCheck::kNone;
  ProgressLine progress(session.output(), session.clock(), "reading");
  read_options.progress = progress.callback();
  MLXGUARD_TRY_ASSIGN(scanned->inventory, inventory::read_inventory(options.target, read_options));
  progress.finish();
  MLXGUARD_TRY_ASSIGN(scan_options.accepted,
                      advisories::accepted_names(options.accepted, scanned->inventory));
  MLXGUARD_TRY_ASSIGN(scanned->report, advisories::scan(scanned->inventory, scanned->knowledge,
                                                        scan_options, session.clock().now()));
  return scanned;
}

Result<advisories::Baseline> load_baseline(const std::string& file) {
  if (file.empty()) return advisories::Baseline{};
  MLXGUARD_TRY_ASSIGN(const std::string text,
                      inventory::read_file(file, limits::kDepsFileBytesMax));
  auto baseline = advisories::parse_baseline(text);
  if (!baseline) return std::move(baseline).error().about(file);
  return baseline;
}

Result<int> scan(Session& session, const Options& options) {
  MLXGUARD_TRY_ASSIGN(const advisories::Baseline baseline, load_baseline(options.baseline));
  MLXGUARD_TRY_ASSIGN(const std::unique_ptr<Scanned> scanned, scan_target(session, options));
  Report& report = scanned->report;
  const advisories::BaselineUse use =
      advisories::apply_baseline(baseline, report, session.clock().now());
  MLXGUARD_TRY(log_scan(session, options, report, scanned->knowledge));
  const ScanContext context{scanned->inventory, scanned->knowledge, options.all, use,
                            !options.baseline.empty()};
  MLXGUARD_TRY(write_sarif(options, report, context));
  if (options.sarif != "-") {
    session.output().json_line(scan_json(report, context));
    print_scan(session.output(), report, context);
  }
  return report.passes() ? 0 : 1;
}

struct BaselineOptions {
  Options scan;
  std::string out;
  advisories::BaselineTerms terms;
};

Result<int> write_baseline(Session& session, const BaselineOptions& options) {
  MLXGUARD_TRY_ASSIGN(const std::unique_ptr<Scanned> scanned, scan_target(session, options.scan));
  MLXGUARD_TRY_ASSIGN(
      const advisories::Baseline baseline,
      advisories::baseline_of(scanned->report, options.terms, session.clock().now()));
  MLXGUARD_TRY(inventory::write_file(options.out, advisories::write_baseline(baseline)));
  codec::JsonWriter json;
  json.begin_object().field("baseline", options.out);
  json.field("entries", static_cast<std::int64_t>(baseline.entries.size())).end_object();
  const Output& output = session.output();
  output.json_line(json.text());
  output.line(fmt::format("{} {}: {} findings and unknowns are accepted until {}",
                          output.styled(Style::kGood, "written"), printable(options.out),
                          baseline.entries.size(), printable(options.terms.expires)));
  return 0;
}

/// What both commands take.
void define_scanned(Arguments& app, Options& options) {
  app.add_option("TARGET", options.target,
                 "environment, project, wheel, lock file or SBOM (default: this folder)");
  app.add_option("--vex", options.vex,
                 "OpenVEX document that suppresses findings, with its reasons")
      ->allow_extra_args(false);
  app.add_option("--vex-product", options.vex_products,
                 "package URL of the application that is scanned: statements about its parts count "
                 "(repeatable)")
      ->allow_extra_args(false);
  app.add_option("--max-age", options.max_age, "an older database could not tell")
      ->capture_default_str();
  app.add_flag("--every-lock", options.every_lock,
               "read every lock and requirements file of a folder, not only the most exact");
  app.add_flag("--without-native", options.without_native, "do not look for native parts");
  app.add_flag("--without-records", options.without_records, "do not compare files with RECORD");
}

}  // namespace

void define_deps_scan(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Options>();
  define_scanned(app, *options);
  app.add_option("--kev", options->kev,
                 "catalog of exploited vulnerabilities (default: the database's)");
  app.add_option("--accept", options->accepted, accepted_help())->allow_extra_args(false);
  app.add_option("--baseline", options->baseline,
                 "findings and unknowns that are accepted, from deps baseline");
  app.add_option("--sarif", options->sarif,
                 "write SARIF 2.1.0 to this file; -: to standard output");
  app.add_flag("--all", options->all, "show clean components too");
  app.callback([=] { chosen([=](Session& session) { return scan(session, *options); }); });
}

void define_deps_baseline(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<BaselineOptions>();
  define_scanned(app, options->scan);
  app.add_option("-o,--output", options->out, "the baseline to write")->required();
  app.add_option("--reason", options->terms.reason, "why all of this is accepted")->required();
  app.add_option("--author", options->terms.author, "who accepts it")->required();
  app.add_option("--expires", options->terms.expires, "last day that it holds: 2027-06-30")
      ->required();
  app.callback(
      [=] { chosen([=](Session& session) { return write_baseline(session, *options); }); });
}

}  // namespace mlxguard::cli
