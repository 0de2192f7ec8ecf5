// SPDX-License-Identifier: Apache-2.0
// `mlxguard inspect`: what a model would do to someone who loads it carelessly. This process lists
// the folder and opens files; their bytes are read by a locked process only.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "arguments.h"
#include "base/file.h"
#include "base/os_error.h"
#include "commands.h"
#include "inspect/report_writer.h"
#include "inspect/run.h"
#include "launch/inspector_process.h"
#include "progress.h"
#include "sandbox/host.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

using inspect::Report;
using inspect::Severity;

constexpr std::size_t kFindingsShown = 50;

struct Inspect {
  std::string model;
  std::string sarif;
  std::string fail_on = "low";
};

Style style_of(Severity severity) {
  if (severity >= Severity::kHigh) return Style::kBad;
  return severity == Severity::kMedium ? Style::kWarn : Style::kDim;
}

std::string totals_of(const Report& report) {
  std::string text;
  for (int level = static_cast<int>(Severity::kLast); level >= 0; --level) {
    const auto severity = static_cast<Severity>(level);
    const std::size_t count = report.count(severity);
    if (count == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, inspect::name_of(severity));
  }
  return text.empty() ? "nothing found" : text;
}

std::string place_of(const inspect::Finding& finding) {
  std::string place = printable(finding.file);
  if (!finding.inside.empty()) place += "!" + printable(finding.inside);
  if (finding.line) return place + ":" + std::to_string(*finding.line);
  return finding.offset ? place + fmt::format(" at byte {}", *finding.offset) : place;
}

void show(const Output& output, const Report& report, double milliseconds) {
  const std::string_view status = inspect::status_of(report);
  const Style style = status == "clean"                                             ? Style::kGood
                      : report.worst().value_or(Severity::kInfo) >= Severity::kHigh ? Style::kBad
                                                                                    : Style::kWarn;
  output.line(output.styled(style, status) + "  " + printable(report.model) +
              fmt::format("  {} files, {}, {:.0f} ms", report.files.size(),
                          human_bytes(report.bytes), milliseconds));
  std::size_t shown = 0;
  for (const inspect::Finding& finding : report.findings) {
    if (shown++ == kFindingsShown) {
      output.line(
          fmt::format("  and {} more; --json lists all", report.findings.size() - kFindingsShown));
      break;
    }
    const inspect::RuleRow& row = inspect::describe(finding.rule);
    output.line("");
    output.line("  " +
                output.styled(style_of(finding.severity),
                              fmt::format("{:<8}", inspect::name_of(finding.severity))) +
                "  " + output.styled(Style::kBold, place_of(finding)));
    output.line(fmt::format("            {}  [{}]", printable(finding.reason), row.id));
    if (!finding.evidence.empty()) {
      output.line("            " + output.styled(Style::kDim, "> " + printable(finding.evidence)));
    }
    output.line("            " + std::string(row.help));
  }
  if (!report.findings.empty()) output.line("");
  output.line("  " + totals_of(report));
  if (!report.complete()) {
    output.line(fmt::format("  {} not inspected to the end: this model cannot be called clean",
                            report.not_inspected.size()));
  }
}

Result<void> write_file(const std::string& path, std::string_view text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.is_open()) return os_error("create", path);
  return write_all(file.get(), text, path);
}

Result<void> write_event(Session& session, const Report& report) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  record::Event event{.kind = record::Kind::kModelInspected};
  const bool clean = inspect::status_of(report) == "clean";
  event.outcome = clean ? record::Outcome::kSuccess : record::Outcome::kRefused;
  if (!report.complete()) event.code = ErrorCode::kInspectIncomplete;
  event.model = std::filesystem::path(report.model).filename().string();
  event.message = "a model was inspected: " + std::string(inspect::status_of(report));
  event.set(Attr::kFiles, report.files.size())
      .set(Attr::kBytes, report.bytes)
      .set(Attr::kNotInspected, report.not_inspected.size());
  std::string by_severity;
  for (int level = 0; level <= static_cast<int>(Severity::kLast); ++level) {
    const auto severity = static_cast<Severity>(level);
    if (report.count(severity) == 0) continue;
    by_severity += (by_severity.empty() ? "" : " ") + std::string(inspect::name_of(severity)) +
                   "=" + std::to_string(report.count(severity));
  }
  event.set(Attr::kFindings, report.findings.size()).set(Attr::kBySeverity, by_severity);
  if (!report.findings.empty()) {
    event.set(Attr::kWorst, std::string(inspect::describe(report.findings.front().rule).id));
  }
  MLXGUARD_TRY(log->append(event));
  return {};
}

Result<Report> look(Session& session, const Inspect& options) {
  // Before any thread exists: the probe forks.
  MLXGUARD_TRY_ASSIGN(const sandbox::Host host, sandbox::Host::probe());
  std::error_code problem;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", problem);
  MLXGUARD_TRY_ASSIGN(const UniqueFd program,
                      sandbox::open_program((self.parent_path() / "mlxguard-inspector").string()));
  launch::InspectorPlan plan;
  plan.host = &host;
  plan.program_fd = program.get();
  launch::InspectorProcess inspector(plan);
  ProgressLine progress(session.output(), session.clock(), "inspecting");
  return inspect::run(options.model, inspector, progress.callback());
}

Result<int> run(Session& session, const Inspect& options) {
  const auto fail_on = inspect::find_severity(options.fail_on);
  if (!fail_on) {
    return make_error(ErrorCode::kUsage,
                      "expected info, low, medium, high or critical after --fail-on")
        .hinting("--fail-on says which severity makes the exit status 1");
  }
  const auto started = session.clock().steady();
  MLXGUARD_TRY_ASSIGN(const Report report, look(session, options));
  MLXGUARD_TRY(write_event(session, report));
  const auto duration =
      std::chrono::duration<double, std::milli>(session.clock().steady() - started);
  if (!options.sarif.empty()) {
    const std::string sarif = inspect::to_sarif(report, MLXGUARD_VERSION);
    if (options.sarif != "-") {
      MLXGUARD_TRY(write_file(options.sarif, sarif + "\n"));
    } else if (session.output().json()) {
      return make_error(ErrorCode::kUsage, "--json and --sarif - both want standard output")
          .hinting("give --sarif a file");
    } else {
      session.output().line(sarif);
    }
  }
  session.output().json_line(inspect::to_json(report));
  if (options.sarif != "-") show(session.output(), report, duration.count());
  const bool bad = report.worst() && *report.worst() >= *fail_on;
  return bad || !report.complete() ? static_cast<int>(ExitClass::kRefused) : 0;
}

}  // namespace

void define_inspect(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Inspect>();
  app.add_option("MODEL", options->model, "folder (or single file) of the model")->required();
  app.add_option("--sarif", options->sarif,
                 "write SARIF 2.1.0 to this file, '-' for standard output");
  app.add_option(
      "--fail-on", options->fail_on,
      "info, low, medium, high or critical: findings of this severity and worse make the exit "
      "status 1 (low); what could not be inspected always does");
  app.callback([=] { chosen([=](Session& session) { return run(session, *options); }); });
}

}  // namespace mlxguard::cli
