// SPDX-License-Identifier: Apache-2.0
// `mlxguard deps mirror`: what the mirror decided and why, and the operator's own word about files.
// The mirror itself is mlxguard-mirror; main.cpp becomes it for `deps mirror serve`.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "arguments.h"
#include "codec/json.h"
#include "deps_commands.h"
#include "mirror/operator_list.h"
#include "mirror/store.h"
#include "record/event.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

struct ListOptions {
  std::string action;
};
struct SayOptions {
  std::string selector;
  std::string reason;
};

Style style_of(std::string_view action) {
  if (action == "served") return Style::kGood;
  return action == "blocked" ? Style::kBad : Style::kWarn;
}

std::string records_json(const std::vector<mirror::FileRecord>& records,
                         const mirror::OperatorList& said) {
  codec::JsonWriter json;
  json.begin_object().key("files").begin_array();
  for (const mirror::FileRecord& record : records) {
    json.begin_object().field("project", record.project).field("version", record.version);
    json.field("filename", record.filename).field("sha256", record.sha256);
    json.field("size_bytes", record.size_bytes).field("action", record.action);
    json.field("code", record.code).field("reason", record.reason);
    json.field("decided_ms", record.decided_ms).key("findings").begin_array();
    for (const mirror::Finding& finding : record.inspection.findings) {
      json.begin_object().field("verdict", name_of(finding.verdict));
      json.field("code", finding.code).field("text", finding.text).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().key("operator").begin_array();
  for (const mirror::OperatorEntry& entry : said.entries()) {
    json.begin_object().field("action", name_of(entry.action));
    json.field("selector", entry.selector.text()).field("reason", entry.reason);
    json.field("time_ms", entry.time_ms).end_object();
  }
  json.end_array().end_object();
  return std::move(json).take();
}

void print_record(const Output& output, const mirror::FileRecord& record) {
  output.line(fmt::format(
      "{}  {}  {}", output.styled(style_of(record.action), fmt::format("{:7}", record.action)),
      printable(record.filename),
      output.styled(Style::kDim, printable(record.sha256.substr(0, 12)))));
  if (record.action == "served") return;
  output.line(fmt::format("         {} [{}]", printable(record.reason), printable(record.code)));
  for (const mirror::Finding& finding : record.inspection.findings) {
    output.line(fmt::format("         {} {}", printable(finding.code), printable(finding.text)));
  }
}

Result<int> list(Session& session, const ListOptions& options) {
  MLXGUARD_TRY_ASSIGN(const auto state, session.state());
  const auto folder = state / "mirror";
  MLXGUARD_TRY_ASSIGN(auto records, mirror::read_records(folder));
  MLXGUARD_TRY_ASSIGN(const auto said, mirror::OperatorList::load(folder));
  if (!options.action.empty()) {
    std::erase_if(records, [&](const auto& record) { return record.action != options.action; });
  }
  const Output& output = session.output();
  output.json_line(records_json(records, said));
  for (const mirror::FileRecord& record : records) print_record(output, record);
  for (const mirror::OperatorEntry& entry : said.entries()) {
    output.line(fmt::format("{}  {}  {}", output.styled(Style::kBold, name_of(entry.action)),
                            printable(entry.selector.text()), printable(entry.reason)));
  }
  if (records.empty() && said.entries().empty()) {
    output.note("the mirror of this state folder has decided about no file" +
                (options.action.empty() ? std::string() : " with action " + options.action));
  }
  return 0;
}

/// The operator's word is an event before it counts.
Result<int> say(Session& session, const SayOptions& options, mirror::OperatorAction action) {
  MLXGUARD_TRY_ASSIGN(const auto state, session.state());
  mirror::OperatorEntry entry;
  entry.action = action;
  MLXGUARD_TRY_ASSIGN(entry.selector, mirror::Selector::parse(options.selector));
  entry.reason = options.reason;
  entry.time_ms = session.clock().now().time_since_epoch().count();
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  record::Event event{.kind = record::Kind::kMirrorReleased};
  event.message = action == mirror::OperatorAction::kRelease ? "released by the operator"
                                                             : "quarantined by the operator";
  event.set(Attr::kAction, name_of(action)).set(Attr::kSelector, entry.selector.text());
  event.set(Attr::kReason, entry.reason);
  MLXGUARD_TRY(log->append(event));
  const std::string selector = entry.selector.text();
  MLXGUARD_TRY(mirror::OperatorList::add(state / "mirror", std::move(entry)));
  codec::JsonWriter json;
  json.begin_object().field("action", name_of(action)).field("selector", selector).end_object();
  session.output().json_line(json.text());
  session.output().line(fmt::format("{}: {}", name_of(action), printable(selector)));
  return 0;
}

void define_say(Arguments& mirror, const char* name, const char* meaning,
                mirror::OperatorAction action, const std::function<void(Action)>& chosen) {
  Arguments* sub = mirror.add_subcommand(name, meaning);
  auto options = std::make_shared<SayOptions>();
  sub->add_option("selector", options->selector, "NAME, NAME==VERSION or sha256:HEX")->required();
  sub->add_option("--reason", options->reason, "why; kept in the event log")->required();
  sub->callback([=] { chosen([=](Session& session) { return say(session, *options, action); }); });
}

}  // namespace

void define_deps_mirror(Arguments& app, const std::function<void(Action)>& chosen) {
  app.require_subcommand(1);
  app.add_subcommand("serve", "a package index for pip and uv that scans before it serves");
  Arguments* listing = app.add_subcommand("list", "what was served, held and blocked, and why");
  auto options = std::make_shared<ListOptions>();
  listing->add_option("--action", options->action, "only these")
      ->one_of({"served", "held", "blocked"});
  listing->callback([=] { chosen([=](Session& session) { return list(session, *options); }); });
  define_say(app, "quarantine", "never serve a package, a release or a file",
             mirror::OperatorAction::kQuarantine, chosen);
  define_say(app, "release", "serve although it is held or blocked: the operator's word",
             mirror::OperatorAction::kRelease, chosen);
}

}  // namespace mlxguard::cli
