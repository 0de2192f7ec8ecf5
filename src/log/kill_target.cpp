// SPDX-License-Identifier: Apache-2.0
// A program for tests and for nobody else: it writes to a log and says which events were
// acknowledged, so that a test can kill it and then ask whether the log kept its word.
//
//   log_target append STATE NAME COUNT [THREADS]   one line "acked NAME SEQ" for each event
//   log_target burst STATE NAME COUNT WINDOW       the same by submit(), WINDOW at a time
//   log_target verify STATE                        findings, then "ok" or "bad"
//   log_target dump STATE                          the lines of the log
//   log_target table                               the markdown tables of kinds and attributes
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "log/event_log.h"
#include "log/log_key.h"
#include "log/query.h"
#include "log/verify.h"
#include "record/doc_table.h"

namespace {

using namespace mlxguard;          // NOLINT: a program of its own
using record::Attr;
using namespace mlxguard::log;  // NOLINT

const SystemClock kClock;
crypto::SystemRandom random_source;

int fail(const Error& error) {
  std::fprintf(stderr, "%s [%s] %s\n", error.message.c_str(),
               std::string(name_of(error.code)).c_str(), error.subject.c_str());
  return 3;
}

/// One write call a line: a line that was read was acknowledged.
void say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) std::abort();
}

Result<std::unique_ptr<EventLog>> open_log(const std::string& state) {
  MLXGUARD_TRY_ASSIGN(crypto::Ed25519Key key,
                      load_or_create_log_key(state + "/keys", random_source));
  LogOptions options;
  options.dir = state + "/log";
  options.origin = "mlxguard/test";
  options.process_name = "log_target";
  options.clock = &kClock;
  options.random = &random_source;
  return EventLog::open(std::move(options), std::move(key));
}

record::Event event_number(const std::string& name, std::int64_t number) {
  record::Event event{.kind = record::Kind::kInferenceDone, .model = "m"};
  event.message = std::string(static_cast<std::size_t>(number % 700), 'x');
  event.set(Attr::kRequest, name).set(Attr::kCount, number);
  return event;
}

int append(const std::string& state, const std::string& name, std::int64_t count, int threads) {
  auto log = open_log(state);
  if (!log.has_value()) return fail(log.error());
  say("ready");
  std::vector<std::thread> producers;
  std::atomic<bool> failed{false};
  for (int t = 0; t < threads; ++t) {
    producers.emplace_back([&, t] {
      const std::string own = threads == 1 ? name : name + "-" + std::to_string(t);
      for (std::int64_t i = 0; i < count && !failed; ++i) {
        const auto done = (*log)->append(event_number(own, i));
        if (!done.has_value()) {
          say("failed " + own + " " + std::to_string(i) + " " +
              std::string(name_of(done.error().code)));
          failed = true;
        } else {
          say("acked " + own + " " + std::to_string(i));
        }
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  const auto closed = (*log)->close();
  return closed.has_value() ? 0 : fail(closed.error());
}

int burst(const std::string& state, const std::string& name, std::int64_t count,
          std::ptrdiff_t window) {
  auto log = open_log(state);
  if (!log.has_value()) return fail(log.error());
  say("ready");
  std::counting_semaphore<> slots(window);
  for (std::int64_t i = 0; i < count; ++i) {
    slots.acquire();
    (*log)->submit(event_number(name, i), [&, i](Result<void> result) {
      say((result.has_value() ? "acked " : "failed ") + name + " " + std::to_string(i));
      slots.release();
    });
  }
  const auto closed = (*log)->close();
  return closed.has_value() ? 0 : fail(closed.error());
}

int verify(const std::string& state) {
  const auto key = load_log_key(state + "/keys");
  if (!key.has_value()) return fail(key.error());
  VerifyOptions options;
  options.public_key = key->public_key();
  options.log_key = &*key;
  options.head_path = state + "/log.head";
  const auto report = verify_log(state + "/log", options);
  if (!report.has_value()) return fail(report.error());
  for (const Finding& finding : report->findings) {
    say("finding " + std::string(name_of(finding.code)) + " | " + finding.subject + " | " +
        finding.message);
  }
  say("size " + std::to_string(report->size) + " journal " +
      std::to_string(report->journal_events) + " root " + report->root);
  say(report->ok() ? "ok" : "bad");
  return report->ok() ? 0 : 1;
}

int dump(const std::string& state) {
  auto reader = LogReader::open(state + "/log");
  if (!reader.has_value()) return fail(reader.error());
  Filter filter;
  filter.limit = 1'000'000'000;
  const auto answer = reader->query(filter);
  if (!answer.has_value()) return fail(answer.error());
  for (const LogRecord& record : answer->records) say(record.json);
  return 0;
}

int run(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  const std::string command = words.empty() ? "" : words[0];
  if (command == "append" && words.size() >= 4) {
    return append(words[1], words[2], std::atoll(words[3].c_str()),
                  words.size() > 4 ? std::atoi(words[4].c_str()) : 1);
  }
  if (command == "burst" && words.size() == 5) {
    return burst(words[1], words[2], std::atoll(words[3].c_str()), std::atoll(words[4].c_str()));
  }
  if (command == "verify" && words.size() == 2) return verify(words[1]);
  if (command == "dump" && words.size() == 2) return dump(words[1]);
  if (command == "table") {
    const std::string tables =
        record::markdown_table_of_kinds() + "\n" + record::markdown_table_of_attributes();
    std::fputs(tables.c_str(), stdout);
    return 0;
  }
  std::fputs("usage: see the head of kill_target.cpp\n", stderr);
  return 2;
}

}  // namespace

int main(int count, char** arguments) { return run(count, arguments); }
