// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "arguments.h"
#include "base/file.h"
#include "base/limits.h"
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
  std::string since, until, type, model, outcome, code, severity;
  std::string request, client, key;
  std::optional<std::int64_t> status;
  std::optional<std::uint64_t> after, before;
  std::int64_t limit = 50;
  bool oldest_first = false;
};

struct Tail {
  std::int64_t count = 20;
  bool follow = false;
};

struct Verify {
  std::string public_key, previous_checkpoint;
};

Error usage(std::string message) { return make_error(ErrorCode::kUsage, std::move(message)); }

/// "90s", "15m", "1h" or "7d" before now, or a date.
Result<WallTime> time_of(const std::string& text, WallTime now) {
  constexpr std::pair<char, std::int64_t> kUnits[] = {
      {'s', 1000}, {'m', 60'000}, {'h', 3'600'000}, {'d', 86'400'000}};
  for (const auto& [unit, milliseconds] : kUnits) {
    std::int64_t count = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (bad != std::errc() || end + 1 != text.data() + text.size() || *end != unit) continue;
    constexpr std::int64_t kCountMax = 100'000'000;
    if (count < 0 || count > kCountMax) break;
    return now - std::chrono::milliseconds(count * milliseconds);
  }
  auto parsed = codec::from_rfc3339(text);
  if (parsed) return WallTime(std::chrono::milliseconds(*parsed));
  return usage("expected a time such as 1h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z").about(text);
}

Result<void> add_type(const std::string& type, log::Filter& filter) {
  if (type.empty()) return {};
  if (const record::KindRow* row = record::find_kind(type)) {
    filter.kind = row->kind;
    return {};
  }
  const auto begins = [&](const record::KindRow& row) { return row.name.starts_with(type); };
  const auto kinds = record::all_kinds();
  if (type.back() == '.' && std::any_of(kinds.begin(), kinds.end(), begins)) {
    filter.kind_prefix = type;  // "model." is every event of that line
    return {};
  }
  std::string near;
  for (const std::string_view name : record::kinds_near(type)) {
    near += (near.empty() ? "" : ", ") + std::string(name);
  }
  return usage("no event is called " + type)
      .hinting("did you mean one of " + near + "? docs/events.md lists every type");
}

Result<void> add_words(const Query& query, log::Filter& filter) {
  if (!query.outcome.empty()) {
    filter.outcome = record::find_outcome(query.outcome);
    if (!filter.outcome) return usage("expected an outcome of success, refused or failed");
  }
  if (!query.code.empty()) {
    const ErrorCodeRow* row = find_error_code(query.code);
    if (row == nullptr) return usage("no error code is called " + query.code);
    filter.code = row->code;
  }
  if (!query.severity.empty()) {
    filter.severity_min = record::find_severity(query.severity);
    if (filter.severity_min == 0) {
      return usage("expected a severity of informational, low, medium, high, critical or fatal");
    }
  }
  return {};
}

Result<std::size_t> count_of(std::int64_t count, const char* option) {
  constexpr std::int64_t kCountMax = 100'000'000;
  if (count >= 1 && count <= kCountMax) return static_cast<std::size_t>(count);
  return usage(std::string(option) + ": expected a number from 1 to " + std::to_string(kCountMax));
}

Result<log::Filter> filter_of(const Query& query, WallTime now) {
  log::Filter filter;
  if (!query.since.empty()) {
    MLXGUARD_TRY_ASSIGN(filter.since, time_of(query.since, now));
  }
  if (!query.until.empty()) {
    MLXGUARD_TRY_ASSIGN(filter.until, time_of(query.until, now));
  }
  MLXGUARD_TRY(add_type(query.type, filter));
  MLXGUARD_TRY(add_words(query, filter));
  filter.model = query.model;
  const std::pair<record::AttrId, const std::string*> texts[] = {
      {record::AttrId::kRequest, &query.request},
      {record::AttrId::kClientIp, &query.client},
      {record::AttrId::kKey, &query.key}};
  for (const auto& [id, text] : texts) {
    if (!text->empty()) filter.attributes.emplace_back(id, *text);
  }
  if (query.status) filter.attributes.emplace_back(record::AttrId::kStatus, *query.status);
  filter.after_index = query.after;
  filter.before_index = query.before;
  MLXGUARD_TRY_ASSIGN(filter.limit, count_of(query.limit, "--limit"));
  filter.order = query.oldest_first ? log::Order::kOldestFirst : log::Order::kNewestFirst;
  return filter;
}

/// Who asked and what came of it: " request=... client=... key=... status=... route=...".
std::string request_words(const log::LogRecord& record) {
  std::string words;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) words += fmt::format("  {}={}", name, printable(value));
  };
  constexpr std::pair<record::AttrId, std::string_view> kShown[] = {
      {record::AttrId::kRequest, "request"}, {record::AttrId::kClientIp, "client"},
      {record::AttrId::kKey, "key"},         {record::AttrId::kStatus, "status"}};
  for (const auto& [id, name] : kShown) {
    for (const auto& [own, value] : record.attributes) {
      if (own != id) continue;
      const auto* text = std::get_if<std::string>(&value);
      add(name, text != nullptr ? *text : std::to_string(std::get<std::int64_t>(value)));
    }
  }
  add("route", record.route);
  return words;
}

enum class Last : std::uint8_t { kNo, kThereIsMore };

void show(const Session& session, const log::LogRecord& record, Last last = Last::kNo) {
  const Output& output = session.output();
  const std::int64_t time_ms = record.time.time_since_epoch().count();
  codec::JsonWriter json;
  json.begin_object().field("index", static_cast<std::int64_t>(record.index));
  json.field("time", codec::to_rfc3339(time_ms)).field("type", record.kind);
  json.field("outcome", record.outcome).field("model", record.model);
  json.field("code", record.code).field("message", record.message);
  json.field("severity", record::severity_name(record.severity));
  json.key("record").raw(record.json);
  if (last == Last::kThereIsMore) json.key("more").boolean(true);
  json.end_object();
  output.json_line(json.text());
  const Style style = record.outcome == "success"   ? Style::kGood
                      : record.outcome == "refused" ? Style::kWarn
                                                    : Style::kBad;
  output.line(fmt::format(
      "{:>6}  {}  {} {:<20} {:<14} {}", record.index, codec::to_rfc3339(time_ms),
      output.styled(style, fmt::format("{:<8}", record.outcome)), record.kind,
      printable(record.model),
      printable(record.code.empty() ? record.message : record.code + "  " + record.message) +
          request_words(record)));
}

/// Reads only: no key, no lock, no write permission, beside any number of writers.
Result<log::LogReader> open_reader(Session& session) {
  MLXGUARD_TRY_ASSIGN(const auto state, session.state());
  auto reader = log::LogReader::open(log::log_folder(state));
  if (!reader && reader.error().code == ErrorCode::kLogNotFound) {
    return std::move(reader).error().hinting("--state names the folder that holds log/");
  }
  return reader;
}

Result<int> query(Session& session, const Query& options) {
  MLXGUARD_TRY_ASSIGN(const log::Filter filter, filter_of(options, session.clock().now()));
  MLXGUARD_TRY_ASSIGN(log::LogReader reader, open_reader(session));
  MLXGUARD_TRY_ASSIGN(const log::Answer answer, reader.query(filter));
  for (const auto& record : answer.records) {
    const bool last = &record == &answer.records.back();
    show(session, record, answer.more && last ? Last::kThereIsMore : Last::kNo);
  }
  if (answer.more) {
    const bool older = filter.order == log::Order::kNewestFirst;
    session.output().note(fmt::format(
        "there are more: these are {} of them; --limit raises the number, {} {} goes on from here",
        answer.records.size(), older ? "--before" : "--after", answer.records.back().index));
  }
  return 0;
}

Result<int> tail(Session& session, const Tail& options) {
  sigset_t stop;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGINT);
  ::sigaddset(&stop, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  const UniqueFd stopped(::signalfd(-1, &stop, SFD_CLOEXEC));
  MLXGUARD_TRY_ASSIGN(const std::size_t count, count_of(options.count, "-n"));
  MLXGUARD_TRY_ASSIGN(log::LogReader reader, open_reader(session));
  MLXGUARD_TRY_ASSIGN(log::Answer answer, reader.last(count));
  std::uint64_t next = 0;
  for (;;) {
    for (const auto& record : answer.records) {
      show(session, record);
      next = record.index + 1;
    }
    if (!options.follow) return 0;
    pollfd wait{stopped.get(), POLLIN, 0};
    if (::poll(&wait, 1, 200) > 0) return 0;
    log::Filter filter;
    if (next > 0) filter.after_index = next - 1;
    MLXGUARD_TRY_ASSIGN(answer, reader.query(filter));
  }
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
    MLXGUARD_TRY_ASSIGN(const std::string text,
                        read_file(options.public_key, limits::kKeyFileBytesMax));
    MLXGUARD_TRY_ASSIGN(const auto named, log::VerifierKey::parse(text));
    verify_options.public_key = named.key;
  }
  if (!options.previous_checkpoint.empty()) {
    MLXGUARD_TRY_ASSIGN(
        verify_options.previous_checkpoint,
        read_file(options.previous_checkpoint, limits::kCheckpointBytesMax));
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

void define_log(Arguments& app, const std::function<void(Action)>& chosen) {
  app.require_subcommand(1);
  const auto query_options = std::make_shared<Query>();
  Arguments* ask =
      app.add_subcommand("query", "events by what they say, newest first");
  ask->add_option("--since", query_options->since,
                  "1h, 7d, or UTC: 2026-01-31 or 2026-01-31T12:00:00Z");
  ask->add_option("--until", query_options->until, "the same, exclusive");
  ask->add_option("--type", query_options->type,
                  "such as model.refused, or model. for a whole line");
  ask->add_option("--model", query_options->model, "name of the model");
  ask->add_option("--outcome", query_options->outcome, "success, refused or failed");
  ask->add_option("--code", query_options->code, "stable error code");
  ask->add_option("--request", query_options->request, "id of a request");
  ask->add_option("--client", query_options->client, "address of a client");
  ask->add_option("--key", query_options->key, "name of a key");
  ask->add_option("--status", query_options->status, "HTTP status of the answer");
  ask->add_option("--severity", query_options->severity,
                  "at least: informational, low, medium, high, critical or fatal");
  ask->add_option("--after", query_options->after, "only events behind this index");
  ask->add_option("--before", query_options->before, "only events before this index");
  ask->add_option("--limit", query_options->limit, "at most so many (50)");
  ask->add_flag("--oldest-first", query_options->oldest_first,
                "in the order in which they happened");
  ask->callback([=] { chosen([=](Session& session) { return query(session, *query_options); }); });

  const auto tail_options = std::make_shared<Tail>();
  Arguments* last = app.add_subcommand("tail", "the last events");
  last->add_option("-n", tail_options->count, "how many (20)");
  last->add_flag("-f,--follow", tail_options->follow, "go on until Ctrl-C");
  last->callback([=] { chosen([=](Session& session) { return tail(session, *tail_options); }); });

  const auto verify_options = std::make_shared<Verify>();
  Arguments* check =
      app.add_subcommand("verify", "prove that nothing was changed, removed or reordered");
  check->add_option("--public-key", verify_options->public_key, "the log's vkey, kept elsewhere");
  check->add_option("--previous-checkpoint", verify_options->previous_checkpoint,
                    "a checkpoint seen earlier: the log must extend it");
  check->callback(
      [=] { chosen([=](Session& session) { return verify(session, *verify_options); }); });
}

}  // namespace mlxguard::cli
