// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>

#include "base/unique_fd.h"
#include "codec/json.h"
#include "codec/text.h"
#include "commands.h"
#include "log/checkpoint.h"
#include "log/log_key.h"
#include "log/query.h"
#include "log/verify.h"

namespace mlxguard::cli {
namespace {

struct Query {
  std::string since, until, type, model, outcome, code;
  std::size_t limit = 50;
  bool oldest_first = false;
};

struct Tail {
  std::size_t count = 20;
  bool follow = false;
};

struct Verify {
  std::string public_key, previous_checkpoint;
};

Error usage(std::string message) { return make_error(ErrorCode::kUsage, std::move(message)); }

Result<log::Filter> filter_of(const Query& query) {
  log::Filter filter;
  const auto time_of = [](const std::string& text) -> Result<WallTime> {
    auto parsed = codec::from_rfc3339(text);
    if (!parsed) return usage(parsed.error().message).about(text);
    return WallTime(std::chrono::milliseconds(*parsed));
  };
  if (!query.since.empty()) {
    MLXGUARD_TRY_ASSIGN(filter.since, time_of(query.since));
  }
  if (!query.until.empty()) {
    MLXGUARD_TRY_ASSIGN(filter.until, time_of(query.until));
  }
  if (!query.type.empty()) {
    const record::KindRow* row = record::find_kind(query.type);
    if (row != nullptr) {
      filter.kind = row->kind;
    } else if (query.type.back() == '.') {
      filter.kind_prefix = query.type;  // "model." is every event of that line
    } else {
      return usage("no event is called " + query.type).hinting("docs/events.md lists every type");
    }
  }
  filter.model = query.model;
  if (query.outcome == "success") {
    filter.outcome = record::Outcome::kSuccess;
  } else if (query.outcome == "refused") {
    filter.outcome = record::Outcome::kRefused;
  } else if (query.outcome == "failed") {
    filter.outcome = record::Outcome::kFailed;
  } else if (!query.outcome.empty()) {
    return usage("expected an outcome of success, refused or failed");
  }
  if (!query.code.empty()) {
    const ErrorCodeRow* row = find_error_code(query.code);
    if (row == nullptr) return usage("no error code is called " + query.code);
    filter.code = row->code;
  }
  filter.limit = query.limit;
  filter.order = query.oldest_first ? log::Order::kOldestFirst : log::Order::kNewestFirst;
  return filter;
}

void show(const Session& session, const log::LogRecord& record) {
  const Output& output = session.output();
  const std::int64_t time_ms = record.time.time_since_epoch().count();
  codec::JsonWriter json;
  json.begin_object().field("index", static_cast<std::int64_t>(record.index));
  json.field("time", codec::to_rfc3339(time_ms)).field("type", record.kind);
  json.field("outcome", record.outcome).field("model", record.model);
  json.field("code", record.code).field("message", record.message);
  json.key("record").raw(record.json).end_object();
  output.json_line(json.text());
  const Style style = record.outcome == "success"   ? Style::kGood
                      : record.outcome == "refused" ? Style::kWarn
                                                    : Style::kBad;
  output.line(fmt::format(
      "{:>6}  {}  {} {:<20} {:<14} {}", record.index, codec::to_rfc3339(time_ms),
      output.styled(style, fmt::format("{:<8}", record.outcome)), record.kind,
      printable(record.model),
      printable(record.code.empty() ? record.message : record.code + "  " + record.message)));
}

/// What was acknowledged to anyone is in the answer: the tree and index are brought up to date
/// first. A log that cannot be opened for writing (damaged, read-only) can still be read.
Result<log::LogReader> open_reader(Session& session) {
  MLXGUARD_TRY_ASSIGN(const auto state, session.state());
  if (!std::filesystem::exists(log::log_folder(state))) {
    return make_error(ErrorCode::kLogNotFound, "there is no event log here")
        .about(log::log_folder(state).string())
        .hinting("--state names the folder that holds log/");
  }
  auto log = session.log();
  Result<void> current = log ? (*log)->flush() : Result<void>(log.error());
  if (!current) session.output().note("reading only: " + current.error().message);
  return log::LogReader::open(log::log_folder(state));
}

Result<int> query(Session& session, const Query& options) {
  MLXGUARD_TRY_ASSIGN(const log::Filter filter, filter_of(options));
  MLXGUARD_TRY_ASSIGN(log::LogReader reader, open_reader(session));
  MLXGUARD_TRY_ASSIGN(const auto records, reader.query(filter));
  for (const auto& record : records) show(session, record);
  return 0;
}

Result<int> tail(Session& session, const Tail& options) {
  sigset_t stop;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGINT);
  ::sigaddset(&stop, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  const UniqueFd stopped(::signalfd(-1, &stop, SFD_CLOEXEC));
  MLXGUARD_TRY_ASSIGN(log::LogReader reader, open_reader(session));
  MLXGUARD_TRY_ASSIGN(auto records, reader.last(options.count));
  std::uint64_t next = 0;
  for (;;) {
    for (const auto& record : records) {
      show(session, record);
      next = record.index + 1;
    }
    if (!options.follow) return 0;
    pollfd wait{stopped.get(), POLLIN, 0};
    if (::poll(&wait, 1, 200) > 0) return 0;
    log::Filter filter;
    if (next > 0) filter.after_index = next - 1;
    MLXGUARD_TRY_ASSIGN(records, reader.query(filter));
  }
}

Result<std::string> read_text(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return make_error(ErrorCode::kNotFound, "cannot read " + file).about(file);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

void show_report(const Session& session, const log::VerifyReport& report) {
  const Output& output = session.output();
  codec::JsonWriter json;
  json.begin_object().field("status", report.ok() ? "verified" : "tampered");
  json.field("origin", report.origin).field("size", static_cast<std::int64_t>(report.size));
  json.field("root", report.root);
  json.field("journal_events", static_cast<std::int64_t>(report.journal_events));
  json.key("findings").begin_array();
  for (const log::Finding& finding : report.findings) {
    json.begin_object().field("code", name_of(finding.code)).field("subject", finding.subject);
    if (finding.first_entry)
      json.field("first_entry", static_cast<std::int64_t>(*finding.first_entry));
    if (finding.last_entry)
      json.field("last_entry", static_cast<std::int64_t>(*finding.last_entry));
    json.field("message", finding.message).end_object();
  }
  json.end_array().end_object();
  output.json_line(json.text());
  if (report.ok()) {
    output.line(output.styled(Style::kGood, "verified") +
                fmt::format("  {} events of {}", report.size, printable(report.origin)));
    output.line("  root  " + report.root);
    return;
  }
  output.line(output.styled(Style::kBad, "tampered") +
              fmt::format("  {} findings", report.findings.size() + report.findings_left_out));
  for (const log::Finding& finding : report.findings) {
    output.line(fmt::format("  {:<22} {}: {}", name_of(finding.code), printable(finding.subject),
                            printable(finding.message)));
  }
}

Result<int> verify(Session& session, const Verify& options) {
  MLXGUARD_TRY_ASSIGN(const auto state, session.state());
  log::VerifyOptions verify_options;
  const auto key = log::load_log_key(state / "keys");
  if (key) {
    verify_options.log_key = &*key;
    verify_options.public_key = key->public_key();
  }
  if (!options.public_key.empty()) {
    MLXGUARD_TRY_ASSIGN(const std::string text, read_text(options.public_key));
    MLXGUARD_TRY_ASSIGN(const auto named, log::VerifierKey::parse(text));
    verify_options.public_key = named.key;
  }
  if (!options.previous_checkpoint.empty()) {
    MLXGUARD_TRY_ASSIGN(verify_options.previous_checkpoint, read_text(options.previous_checkpoint));
  }
  MLXGUARD_TRY_ASSIGN(const log::VerifyReport report,
                      log::verify_log(log::log_folder(state), verify_options));
  show_report(session, report);
  if (!report.ok()) {
    const log::Finding& first = report.findings.front();
    if (!session.output().json()) {
      session.output().error(make_error(first.code, first.message).about(first.subject));
    }
    return static_cast<int>(ExitClass::kRefused);
  }
  return 0;
}

}  // namespace

void define_log(CLI::App& app, const std::function<void(Action)>& chosen) {
  app.require_subcommand(1);
  const auto query_options = std::make_shared<Query>();
  CLI::App* ask =
      app.add_subcommand("query", "events by time, type, model and outcome, newest first");
  ask->add_option("--since", query_options->since, "UTC: 2026-01-31 or 2026-01-31T12:00:00Z");
  ask->add_option("--until", query_options->until, "UTC, exclusive");
  ask->add_option("--type", query_options->type,
                  "such as model.refused, or model. for a whole line");
  ask->add_option("--model", query_options->model, "name of the model");
  ask->add_option("--outcome", query_options->outcome, "success, refused or failed");
  ask->add_option("--code", query_options->code, "stable error code");
  ask->add_option("--limit", query_options->limit, "at most so many (50)");
  ask->add_flag("--oldest-first", query_options->oldest_first,
                "in the order in which they happened");
  ask->callback([=] { chosen([=](Session& session) { return query(session, *query_options); }); });

  const auto tail_options = std::make_shared<Tail>();
  CLI::App* last = app.add_subcommand("tail", "the last events");
  last->add_option("-n", tail_options->count, "how many (20)");
  last->add_flag("-f,--follow", tail_options->follow, "go on until Ctrl-C");
  last->callback([=] { chosen([=](Session& session) { return tail(session, *tail_options); }); });

  const auto verify_options = std::make_shared<Verify>();
  CLI::App* check =
      app.add_subcommand("verify", "prove that nothing was changed, removed or reordered");
  check->add_option("--public-key", verify_options->public_key, "the log's vkey, kept elsewhere");
  check->add_option("--previous-checkpoint", verify_options->previous_checkpoint,
                    "a checkpoint seen earlier: the log must extend it");
  check->callback(
      [=] { chosen([=](Session& session) { return verify(session, *verify_options); }); });
}

}  // namespace mlxguard::cli
