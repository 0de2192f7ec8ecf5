// SPDX-License-Identifier: Apache-2.0
#include "log/event_log.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <thread>

#include "codec/text.h"
#include "log/journal.h"
#include "log/query.h"
#include "log/test_log.h"
#include "log/tiles.h"

using namespace mlxguard;          // NOLINT
using namespace mlxguard::log;  // NOLINT
using namespace mlxguard::record;  // NOLINT

TEST_CASE("log: a small log has the files, root and checkpoint that were reviewed") {
  TestFolder folder;
  const TileStore store(folder.path().string());
  auto tree = TreeWriter::load(store, 0, empty_root());
  REQUIRE(tree.has_value());
  for (const std::string text : {"first", "second", "", "fourth"}) {
    REQUIRE(tree->add(as_bytes(text), leaf_hash(as_bytes(text))).has_value());
  }
  REQUIRE(tree->commit().has_value());
  CHECK(slurp(folder.path() / "tile/entries/000.p/4") ==
        std::string("\0\5first\0\6second\0\0\0\6fourth", 25));
  CHECK(slurp(folder.path() / "tile/0/000.p/4").size() == 128);
  CHECK(sign_checkpoint({"mlxguard/golden", tree->size(), tree->root()}, test_key()) ==
        "mlxguard/golden\n4\nruqOZfRtnOFNs0pwXvpCn0jdDbiyswCkSZni6XY5foI=\n\n— mlxguard/golden "
        "hQ1T5wbSyZk2yqAr1aJl/DCprF3gCSQZksQ3j/6W"
        "5Q6FrqQ4cm65kVwlJPV5bexTkGkRJu2NW9Jw4XcH6zcugur8yA0=\n");
}

TEST_CASE("log: what was appended is there after closing, in order, and verifies") {
  TestState state;
  state.fill(10);
  CHECK_FALSE(state.open()->recovery().any());
  state.fill(5);
  const auto records = all_records(state);
  REQUIRE(records.size() == 15);
  for (std::size_t i = 0; i < records.size(); ++i) {
    CHECK(records[i].index == i);
    CHECK(records[i].message == "event " + std::to_string(i));
    CHECK(records[i].kind == "inference.completed");
  }
  const VerifyReport report = state.verify();
  CHECK_MESSAGE(report.ok(), show(report));
  CHECK(report.size == 15);
}

TEST_CASE("log: partial tiles are removed when a longer form stands, over 256 and 65536 entries") {
  TestState state;
  std::uint64_t size = 0;
  for (const std::uint64_t more : {1u, 254u, 1u, 1u, 65'279u, 1u, 300u}) {
    state.fill(more);
    size += more;
    const VerifyReport report = state.verify();
    CHECK_MESSAGE(report.ok(), show(report));
    CHECK(report.size == size);
    std::size_t partial_bundles = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(state.folder.log() / "tile/entries")) {
      if (entry.path().parent_path().extension() == ".p") ++partial_bundles;
      CHECK(entry.path().extension() != ".tmp");
    }
    CHECK(partial_bundles == (size % 256 == 0 ? 0 : 1));
  }
  CHECK(std::filesystem::exists(state.folder.log() / "tile/2/000.p/1"));
}

TEST_CASE("log: many threads append, each in its own order") {
  TestState state;
  {
    auto log = state.open();
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 100; ++i) {
          Event event = numbered(i);
          event.model = "m" + std::to_string(t);
          CHECK(log->append(event).has_value());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::map<std::string, int> next;
  for (const LogRecord& record : all_records(state)) {
    CHECK(record.message == "event " + std::to_string(next[record.model]++));
  }
  CHECK(next.size() == 8);
  CHECK(next["m7"] == 100);
}

TEST_CASE("log: submitted events are answered in order, and flush waits for all of them") {
  TestState state;
  auto log = state.open();
  std::vector<int> answers;
  for (int i = 0; i < 500; ++i) {
    log->submit(numbered(i), [&answers, i](const Result<void>& result) {
      if (result.has_value()) answers.push_back(i);
    });
  }
  REQUIRE(log->flush().has_value());
  REQUIRE(answers.size() == 500);
  CHECK(std::is_sorted(answers.begin(), answers.end()));
  CHECK(log->size() == 500);
  CHECK(all_records(state).size() == 500);
  REQUIRE(log->close().has_value());
  CHECK(log->append(numbered(1)).error().code == ErrorCode::kLogWrite);
}

TEST_CASE("log: is integrated by itself soon after an event") {
  TestState state;
  auto log = state.open();
  REQUIRE(log->append(numbered(0)).has_value());
  for (int i = 0;
       i < 200 && slurp(state.folder.log() / "checkpoint").find("\n1\n") == std::string::npos;
       ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(slurp(state.folder.log() / "checkpoint").find("\n1\n") != std::string::npos);
}

TEST_CASE("log: acknowledged events that were not integrated are recovered, and that is an event") {
  TestState state;
  leave_unclean(state, 7);
  CHECK(state.verify().journal_events == 7);
  {
    auto log = state.open();
    CHECK(log->recovery().pending_events == 7);
    CHECK(log->size() == 8);
  }
  const auto records = all_records(state);
  REQUIRE(records.size() == 8);
  CHECK(records[6].message == "event 6");
  CHECK(records[7].kind == "log.recovered");
  CHECK(records[7].outcome == "success");
  CHECK(state.verify().ok());
  CHECK_FALSE(state.open()->recovery().any());
}

TEST_CASE("log: an incomplete frame at the end is cut off, wherever it ends") {
  TestState made;
  leave_unclean(made, 3);
  const std::string journal = slurp_frames(first_segment(made));
  for (const std::size_t cut : {1u, 20u, 40u, 100u, 500u}) {
    TestState state;
    copy_state(made, state);
    spill(first_segment(state), journal.substr(0, journal.size() - cut));
    CHECK(state.verify().ok());  // never acknowledged, so nothing is missing
    auto log = state.open();
    CHECK(log->recovery().pending_events == 2);
    CHECK(log->recovery().torn_bytes > 0);
    CHECK_FALSE(log->recovery().found_damage());
  }
}

TEST_CASE("log: damage inside the journal is reported, kept aside, and loses only what it hit") {
  TestState state;
  leave_unclean(state, 5);
  std::string journal = slurp(first_segment(state));
  const std::size_t second = journal.find("MLXGJRN1", 8);
  journal[second + 100] = static_cast<char>(journal[second + 100] ^ 1);
  spill(first_segment(state), journal);
  CHECK(has(state.verify(), ErrorCode::kLogJournal));
  {
    auto log = state.open();
    CHECK(log->recovery().pending_events == 4);
    CHECK(log->recovery().lost_events == 1);
    CHECK(log->recovery().damaged_files == 1);
    REQUIRE(log->append(numbered(9)).has_value());
  }
  const auto records = all_records(state);
  REQUIRE(records.size() == 7);
  CHECK(records[0].message == "event 0");
  CHECK(records[1].kind == "log.recovered");  // in the place of the lost one
  CHECK(records[1].outcome == "failed");
  CHECK(records[1].code == "log.journal");
  CHECK(records[4].message == "event 4");
  CHECK(records[5].kind == "log.recovered");
  CHECK(records[5].outcome == "failed");
  CHECK(records[6].message == "event 9");
  const VerifyReport report = state.verify();
  REQUIRE(report.findings.size() == 1);  // the file that was set aside, until somebody removes it
  CHECK(report.findings[0].code == ErrorCode::kLogJournal);
}

TEST_CASE("log: the journal cannot be written by somebody who has not the key") {
  TestState state;
  leave_unclean(state, 1);
  const std::string forged = "{\"forged\":true}";
  const JournalRecord record{as_bytes(forged), leaf_hash(as_bytes(forged))};
  const std::string good = slurp_frames(first_segment(state));
  spill(first_segment(state), good + encode_frame(1, {&record, 1}, JournalKey(test_key(9).seed())));
  auto log = state.open();
  CHECK(log->recovery().damaged_files == 1);
  REQUIRE(log->close().has_value());
  for (const LogRecord& found : all_records(state)) CHECK(found.json != forged);
}

TEST_CASE("log: a failed write is told to its callers, and appending works again afterwards") {
  TestState state;
  auto log = state.open();
  REQUIRE(log->append(numbered(0)).has_value());
  REQUIRE(log->flush().has_value());
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  rlimit small = old;
  small.rlim_cur = 1500;  // stands in for a full disk: one journal file holds one event
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  CHECK(log->append(numbered(1)).error().code == ErrorCode::kLogWrite);
  CHECK(log->append(numbered(2)).error().code == ErrorCode::kLogWrite);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &old) == 0);
  std::signal(SIGXFSZ, ignored);
  REQUIRE(log->append(numbered(3)).has_value());
  REQUIRE(log->close().has_value());
  const auto records = all_records(state);
  REQUIRE(records.size() == 2);
  CHECK(records[1].message == "event 3");
  CHECK(state.verify().ok());
}

TEST_CASE("log: an integration that fails is made up for when there is room again") {
  TestState state;
  LogOptions options = state.options();
  options.integrate_after = std::chrono::hours(1);  // only flush() integrates
  auto opened = EventLog::open(std::move(options), test_key());
  REQUIRE(opened.has_value());
  const auto log = *std::move(opened);
  for (int i = 0; i < 20; ++i) REQUIRE(log->append(numbered(i)).has_value());
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  rlimit small = old;
  small.rlim_cur = 700;  // a tile of 20 hashes fits, a bundle of 20 events does not
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto failed = log->flush();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &old) == 0);
  std::signal(SIGXFSZ, ignored);
  CHECK_FALSE(failed.has_value());
  CHECK_FALSE(std::filesystem::exists(state.folder.log() / "tile/entries/000.p/20.tmp"));
  REQUIRE(log->flush().has_value());
  CHECK(all_records(state).size() == 20);
  CHECK(state.verify().ok());
}

TEST_CASE("log: two processes append at the same time, and nothing is lost or mixed up") {
  TestState state;
  state.fill(1);
  constexpr int kEach = 300;
  pid_t children[2];
  for (int c = 0; c < 2; ++c) {
    children[c] = ::fork();
    REQUIRE(children[c] >= 0);
    if (children[c] != 0) continue;
    TestState* child = &state;
    auto log = EventLog::open(child->options(), test_key());
    int failures = log.has_value() ? 0 : 1;
    for (int i = 0; i < kEach && failures == 0; ++i) {
      Event event = numbered(i);
      event.model = "child" + std::to_string(c);
      if (!(*log)->append(event).has_value()) ++failures;
      if (i % 100 == 50 && !(*log)->flush().has_value()) ++failures;
    }
    if (failures == 0 && !(*log)->close().has_value()) ++failures;
    ::_exit(failures);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  std::map<std::string, int> next;
  for (const LogRecord& record : all_records(state)) {
    if (!record.model.starts_with("child")) continue;
    CHECK(record.message == "event " + std::to_string(next[record.model]++));
  }
  CHECK(next["child0"] == kEach);
  CHECK(next["child1"] == kEach);
  const VerifyReport report = state.verify();
  CHECK_MESSAGE(report.ok(), show(report));
  CHECK(report.size == 1 + 2 * kEach);
}

TEST_CASE("log: a second opener does not call the first one's pending events a recovery") {
  TestState state;
  LogOptions options = state.options();
  options.integrate_after = std::chrono::hours(1);
  auto first = EventLog::open(std::move(options), test_key());
  REQUIRE(first.has_value());
  REQUIRE((*first)->append(numbered(0)).has_value());
  auto second = state.open();
  CHECK_FALSE(second->recovery().any());
  REQUIRE(second->append(numbered(1)).has_value());
  REQUIRE(second->close().has_value());
  REQUIRE((*first)->append(numbered(2)).has_value());
  REQUIRE((*first)->close().has_value());
  CHECK(all_records(state).size() == 3);
  CHECK(state.verify().ok());
}

TEST_CASE("log: what a process left in the journal is integrated by the one that stays") {
  TestState state;
  auto stays = state.open();
  LogOptions options = state.options();
  options.integrate_after = std::chrono::hours(1);
  auto goes = EventLog::open(std::move(options), test_key());
  REQUIRE(goes.has_value());
  REQUIRE((*goes)->append(numbered(0)).has_value());
  const auto checkpoint = state.folder.log() / "checkpoint";
  for (int i = 0; i < 500 && slurp(checkpoint).find("\n1\n") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(slurp(checkpoint).find("\n1\n") != std::string::npos);
}
TEST_CASE("query: filters by time, kind, model, outcome and code, both ways round") {
  TestState state;
  {
    auto log = state.open();
    const auto at = [](std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); };
    Event loaded{.kind = Kind::kModelLoaded, .model = "a"};
    loaded.time = at(1000);
    Event refused{.kind = Kind::kModelRefused, .outcome = Outcome::kRefused, .model = "b'; --"};
    refused.code = ErrorCode::kDigestMismatch;
    refused.time = at(2000);
    Event failed{.kind = Kind::kInferenceFailed, .outcome = Outcome::kFailed, .model = "a"};
    failed.code = ErrorCode::kWorkerDied;
    failed.time = at(3000);
    for (const Event& event : {loaded, refused, failed}) REQUIRE(log->append(event).has_value());
  }
  auto reader = LogReader::open(state.folder.log());
  REQUIRE(reader.has_value());
  const auto indices = [&](Filter filter) {
    const auto records = reader->query(filter);
    REQUIRE(records.has_value());
    std::vector<std::uint64_t> out;
    for (const LogRecord& record : records->records) out.push_back(record.index);
    return out;
  };
  using List = std::vector<std::uint64_t>;
  CHECK(indices({}) == List{0, 1, 2});
  CHECK(indices({.order = Order::kNewestFirst, .limit = 2}) == List{2, 1});
  CHECK(indices({.since = WallTime(std::chrono::milliseconds(2000))}) == List{1, 2});
  CHECK(indices({.until = WallTime(std::chrono::milliseconds(2000))}) == List{0});
  CHECK(indices({.kind = Kind::kModelRefused}) == List{1});
  CHECK(indices({.kind_prefix = "model."}) == List{0, 1});
  CHECK(indices({.model = "a"}) == List{0, 2});
  CHECK(indices({.model = "b'; --"}) == List{1});
  CHECK(indices({.outcome = Outcome::kFailed}) == List{2});
  CHECK(indices({.code = ErrorCode::kDigestMismatch}) == List{1});
  CHECK(indices({.after_index = 0}) == List{1, 2});
  const auto last = reader->last(2);
  REQUIRE(last.has_value());
  CHECK(last->records.front().index == 1);
  CHECK(last->records.back().code == "worker.died");
  CHECK(last->more);
  CHECK(LogReader::open(state.folder.path() / "nothing").error().code == ErrorCode::kLogNotFound);
}
