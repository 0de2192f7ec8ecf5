// SPDX-License-Identifier: Apache-2.0
// `mlxguard deps scan`: exits 0 only when everything is clean or accepted by name; 1 for a
// vulnerability, a file that differs from RECORD, or what could not be told.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "arguments.h"
#include "deps_commands.h"
#include "inventory/files.h"
#include "inventory/read.h"
#include "key_options.h"
#include "knowledge.h"
#include "packaging/name.h"
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
  std::vector<std::string> vex, accepted;
  std::string kev, sarif, max_age = "30d";
  bool all = false, without_native = false, without_records = false;
};

std::string accepted_help() {
  std::string out = "a package's name, or why it could not be told:";
  for (const auto& row : advisories::reason_rows()) out += " " + std::string(row.name);
  return out;
}

void add_findings(const advisories::ComponentReport& one, std::vector<record::Event>& out) {
  for (const advisories::Finding& finding : one.findings) {
    if (finding.suppressed) continue;
    record::Event event = record::event_of(
        record::Kind::kDepsVulnerable,
        make_error(ErrorCode::kDepsVulnerable, "a dependency has a known vulnerability"));
    event.set(Attr::kAdvisory, finding.id).set(Attr::kPackage, one.component->purl);
    event.set(Attr::kFixedIn, finding.fixed_in.empty() ? std::string() : finding.fixed_in.back());
    event.set(Attr::kExploitedSince, finding.exploited_since);
    out.push_back(std::move(event));
  }
  for (const advisories::Unknown& unknown : one.unknowns) {
    if (unknown.accepted) continue;
    record::Event event = record::event_of(record::Kind::kDepsUnknown,
                                           make_error(ErrorCode::kDepsUnknown, unknown.text));
    event.set(Attr::kPackage, one.component->purl).set(Attr::kReason, name_of(unknown.reason));
    out.push_back(std::move(event));
  }
}

Result<void> log_scan(Session& session, const Options& options, const Report& report,
                      const advisories::Knowledge& knowledge) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  std::vector<record::Event> events;  // durable together: hundreds of them are ordinary
  for (const advisories::ComponentReport& one : report.components) add_findings(one, events);
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
  const std::string text = scan_sarif(report, context) + "\n";
  if (options.sarif != "-") return inventory::write_file(options.sarif, text);
  std::fputs(text.c_str(), stdout);
  return {};
}

Result<int> scan(Session& session, const Options& options) {
  advisories::ScanOptions scan_options;
  MLXGUARD_TRY_ASSIGN(scan_options.age_max, lifetime_of(options.max_age));
  for (const std::string& name : options.accepted) {
    scan_options.accepted.insert(name);
    scan_options.accepted.insert(packaging::normalize_name(name));
  }
  MLXGUARD_TRY_ASSIGN(const LoadedKnowledge loaded,
                      load_knowledge(session, options.vex, options.kev));
  const advisories::Knowledge knowledge = loaded.view();
  inventory::ReadOptions read_options;
  if (options.without_native) read_options.native = inventory::NativeParts::kSkip;
  if (options.without_records) read_options.records = inventory::RecordCheck::kNone;
  ProgressLine progress(session.output(), session.clock(), "reading");
  read_options.progress = progress.callback();
  MLXGUARD_TRY_ASSIGN(const inventory::Inventory inventory,
                      inventory::read_inventory(options.target, read_options));
  progress.finish();
  MLXGUARD_TRY_ASSIGN(const Report report,
                      advisories::scan(inventory, knowledge, scan_options, session.clock().now()));
  MLXGUARD_TRY(log_scan(session, options, report, knowledge));
  const ScanContext context{inventory, knowledge, options.all};
  MLXGUARD_TRY(write_sarif(options, report, context));
  if (options.sarif != "-") {
    session.output().json_line(scan_json(report, context));
    print_scan(session.output(), report, context);
  }
  return report.verdict == Verdict::kClean && !report.altered ? 0 : 1;
}

}  // namespace

void define_deps_scan(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Options>();
  app.add_option("TARGET", options->target,
                 "environment, project, wheel, lock file or SBOM (default: this folder)");
  app.add_option("--vex", options->vex,
                 "OpenVEX document that suppresses findings, with its reasons")
      ->allow_extra_args(false);
  app.add_option("--kev", options->kev,
                 "catalog of exploited vulnerabilities (default: the database's)");
  app.add_option("--accept", options->accepted, accepted_help())->allow_extra_args(false);
  app.add_option("--max-age", options->max_age, "an older database could not tell")
      ->capture_default_str();
  app.add_option("--sarif", options->sarif,
                 "write SARIF 2.1.0 to this file; -: to standard output");
  app.add_flag("--all", options->all, "show clean components too");
  app.add_flag("--without-native", options->without_native, "do not look for native parts");
  app.add_flag("--without-records", options->without_records, "do not compare files with RECORD");
  app.callback([=] { chosen([=](Session& session) { return scan(session, *options); }); });
}

}  // namespace mlxguard::cli
