// SPDX-License-Identifier: Apache-2.0
#include "log/verify.h"

#include <sqlite3.h>

#include <algorithm>
#include <random>

#include "log/event_log.h"
#include "log/journal.h"
#include "log/test_log.h"
#include "log/tiles.h"

using namespace mlxguard;          // NOLINT
using namespace mlxguard::log;  // NOLINT
using namespace mlxguard::record;  // NOLINT

namespace {

constexpr std::uint64_t kSize = 700;  // two full tiles and a partial one

void copy_folder(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::copy(
      from, to,
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
}

/// One log for all tests here; each tampers with a copy.
const TestState& original() {
  static TestState* const state = [] {
    auto* made = new TestState;  // NOLINT: as long as the program
    made->fill(kSize);
    return made;
  }();
  return *state;
}

struct Tampered : TestState {
  Tampered() { copy_folder(original().folder.path(), folder.path()); }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const {
    return folder.log() / name;
  }
  void flip(const std::string& name, std::size_t position, int bit = 0) const {
    std::string text = slurp(file(name));
    text[position] = static_cast<char>(text[position] ^ (1 << bit));
    spill(file(name), text);
  }
  [[nodiscard]] std::vector<std::string> entries(const std::string& name) const {
    const std::string bytes = slurp(file(name));
    std::vector<std::string> out;
    for (const Bytes& entry : parse_bundle(as_bytes(bytes), 256).entries) {
      out.emplace_back(as_text(entry));
    }
    return out;
  }
  void write_entries(const std::string& name, const std::vector<std::string>& texts) const {
    std::string bytes;
    for (const std::string& text : texts) append_to_bundle(bytes, as_bytes(text));
    spill(file(name), bytes);
  }
};

void check_only(const VerifyReport& report, ErrorCode code, const std::string& subject) {
  INFO(show(report));
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].code == code);
  CHECK(report.findings[0].subject == subject);
}

}  // namespace

TEST_CASE("verify: a log that nobody touched has no findings") {
  Tampered log;
  const VerifyReport report = log.verify();
  CHECK_MESSAGE(report.ok(), show(report));
  CHECK(report.size == kSize);
  CHECK(report.origin == "mlxguard/test");
}

TEST_CASE("verify: any changed byte of tiles, entries, checkpoint and key is found") {
  Tampered log;
  std::vector<std::string> names{"checkpoint", "log.vkey"};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(log.file("tile"))) {
    if (entry.is_regular_file()) {
      names.push_back(std::filesystem::relative(entry.path(), log.folder.log()).string());
    }
  }
  std::mt19937 random(20);  // NOLINT: the same positions in every run
  for (const std::string& name : names) {
    const std::string good = slurp(log.file(name));
    for (int i = 0; i < 40; ++i) {
      const std::size_t position = random() % good.size();
      const int bit = static_cast<int>(random() % 8);
      CAPTURE(name);
      CAPTURE(position);
      log.flip(name, position, bit);
      const VerifyReport report = log.verify();
      REQUIRE_FALSE(report.ok());
      const ErrorCode code = report.findings[0].code;
      if (name.starts_with("tile/entries")) {
        REQUIRE((code == ErrorCode::kLogEntryChanged || code == ErrorCode::kLogEntryMissing ||
                 code == ErrorCode::kLogTruncated));
      } else if (name.starts_with("tile")) {
        REQUIRE(code == ErrorCode::kLogTileChanged);
        REQUIRE(report.findings[0].subject == name);
      } else {
        REQUIRE(code == ErrorCode::kLogCheckpoint);
      }
    }
    spill(log.file(name), good);
  }
  CHECK(log.verify().ok());
}

TEST_CASE("verify: names the one entry that was changed") {
  Tampered log;
  auto entries = log.entries("tile/entries/001");
  entries[7].back() = ' ';
  log.write_entries("tile/entries/001", entries);
  check_only(log.verify(), ErrorCode::kLogEntryChanged, "entry 263");
}

TEST_CASE("verify: names an entry that was removed") {
  Tampered log;
  auto entries = log.entries("tile/entries/001");
  entries.erase(entries.begin() + 7);
  log.write_entries("tile/entries/001", entries);
  check_only(log.verify(), ErrorCode::kLogEntryMissing, "entry 263");
}

TEST_CASE("verify: names a bundle that was removed") {
  Tampered log;
  std::filesystem::remove(log.file("tile/entries/001"));
  check_only(log.verify(), ErrorCode::kLogEntryMissing, "entries 256 to 511");
}

TEST_CASE("verify: tells entries that changed places from entries that changed") {
  Tampered log;
  auto entries = log.entries("tile/entries/001");
  std::swap(entries[3], entries[9]);
  log.write_entries("tile/entries/001", entries);
  VerifyReport report = log.verify();
  REQUIRE(report.findings.size() == 2);
  CHECK(report.findings[0].code == ErrorCode::kLogEntryOrder);
  CHECK(report.findings[0].first_entry == 259);
  CHECK(report.findings[1].code == ErrorCode::kLogEntryOrder);
  CHECK(report.findings[1].first_entry == 265);
  // Across bundles.
  Tampered other;
  std::filesystem::rename(other.file("tile/entries/000"), other.file("tile/entries/swap"));
  std::filesystem::rename(other.file("tile/entries/001"), other.file("tile/entries/000"));
  std::filesystem::rename(other.file("tile/entries/swap"), other.file("tile/entries/001"));
  check_only(other.verify(), ErrorCode::kLogEntryOrder, "entries 0 to 511");
}

TEST_CASE("verify: an entry changed together with its tile does not fit the level above") {
  Tampered log;
  auto entries = log.entries("tile/entries/001");
  entries[7].back() = ' ';
  log.write_entries("tile/entries/001", entries);
  std::string tile = slurp(log.file("tile/0/001"));
  const Hash leaf = leaf_hash(as_bytes(entries[7]));
  std::copy(leaf.begin(), leaf.end(), tile.begin() + 7 * 32);
  spill(log.file("tile/0/001"), tile);
  const VerifyReport report = log.verify();
  REQUIRE(report.findings.size() == 2);
  CHECK(report.findings[0].code == ErrorCode::kLogTileChanged);
  CHECK(report.findings[0].subject == "tile/0/001");
  CHECK(report.findings[1].code == ErrorCode::kLogEntryChanged);
  CHECK(report.findings[1].subject == "entries 256 to 511");
}

TEST_CASE("verify: an entry changed with every tile above it does not fit the signed root") {
  Tampered log;
  auto entries = log.entries("tile/entries/002.p/188");
  entries[5].back() = ' ';
  log.write_entries("tile/entries/002.p/188", entries);
  std::string tile = slurp(log.file("tile/0/002.p/188"));
  const Hash leaf = leaf_hash(as_bytes(entries[5]));
  std::copy(leaf.begin(), leaf.end(), tile.begin() + 5 * 32);
  spill(log.file("tile/0/002.p/188"), tile);
  CHECK(has(log.verify(), ErrorCode::kLogRoot));
}

TEST_CASE("verify: a log whose end was cut off is truncated") {
  Tampered log;
  auto entries = log.entries("tile/entries/002.p/188");
  entries.resize(100);
  log.write_entries("tile/entries/002.p/188", entries);
  check_only(log.verify(), ErrorCode::kLogTruncated, "entries 612 to 699");
  Tampered whole_bundles;
  std::filesystem::remove_all(whole_bundles.file("tile/entries/002.p"));
  std::filesystem::remove(whole_bundles.file("tile/entries/001"));
  check_only(whole_bundles.verify(), ErrorCode::kLogTruncated, "entries 256 to 699");
  Tampered nothing_left;
  std::filesystem::remove_all(nothing_left.file("tile"));
  CHECK(has(nothing_left.verify(), ErrorCode::kLogTruncated));
}

TEST_CASE("verify: a missing hash tile is found, and does not hide the entries below it") {
  Tampered log;
  std::filesystem::remove(log.file("tile/0/001"));
  check_only(log.verify(), ErrorCode::kLogTileChanged, "tile/0/001");
  Tampered edge;
  std::filesystem::remove(edge.file("tile/1/000.p/2"));
  check_only(edge.verify(), ErrorCode::kLogTileChanged, "tile/1/000.p/2");
}

TEST_CASE("verify: an older log with its own true checkpoint is a rollback") {
  TestState small;
  small.fill(100);
  TestState grown;
  copy_folder(small.folder.path(), grown.folder.path());
  grown.fill(50);
  // The whole folder, put back to what it was; only the head outside of it remembers.
  std::filesystem::remove_all(grown.folder.log());
  copy_folder(small.folder.log(), grown.folder.log());
  check_only(grown.verify(), ErrorCode::kLogRollback, "checkpoint");
  // Without the head, index and journal still know, if they were left.
  Tampered log;
  std::filesystem::remove_all(log.file("tile"));
  copy_folder(small.folder.log() / "tile", log.file("tile"));
  spill(log.file("checkpoint"), slurp(small.folder.log() / "checkpoint"));
  spill(log.folder.head(), slurp(small.folder.head()));
  const VerifyReport report = log.verify();
  REQUIRE(report.findings.size() == 2);
  CHECK(report.findings[0].code == ErrorCode::kLogTruncated);
  CHECK(report.findings[0].subject == "journal");
  CHECK(report.findings[1].code == ErrorCode::kLogTruncated);
  CHECK(report.findings[1].subject == "index.sqlite");
}

TEST_CASE("verify: a missing head is a finding where one must be") {
  Tampered log;
  std::filesystem::remove(log.folder.head());
  check_only(log.verify(), ErrorCode::kLogRollback, "log.head");
  VerifyOptions of_a_copy;
  of_a_copy.head = VerifyOptions::Head::kIfThere;
  const auto report = verify_log(log.folder.log(), of_a_copy);
  REQUIRE(report.has_value());
  CHECK(report->ok());
}

TEST_CASE("verify: a log must extend the checkpoint that was seen before") {
  TestState log;
  log.fill(300);
  const std::string seen = slurp(log.folder.log() / "checkpoint");
  log.fill(300);
  CHECK(log.verify(seen).ok());
  TestState fork;  // signed by the same key, of other events
  (void)fork.clock.now();
  fork.fill(600);
  const VerifyReport report = fork.verify(seen);
  check_only(report, ErrorCode::kLogRollback, "checkpoint");
  TestState shorter;
  shorter.fill(10);
  check_only(shorter.verify(seen), ErrorCode::kLogRollback, "checkpoint");
  check_only(log.verify("nonsense"), ErrorCode::kLogCheckpoint, "previous checkpoint");
}

TEST_CASE("verify: another key is refused, even if the log's folder names it") {
  TestState log;
  const auto opened = EventLog::open(log.options(), test_key(9));
  REQUIRE(opened.has_value());
  REQUIRE((*opened)->append({.kind = Kind::kServerStarted}).has_value());
  REQUIRE((*opened)->close().has_value());
  const VerifyReport report = log.verify();
  REQUIRE_FALSE(report.ok());
  CHECK(report.findings[0].code == ErrorCode::kLogCheckpoint);
  CHECK(report.findings[0].subject == "log.vkey");
  VerifyOptions trusting;
  const auto trusted = verify_log(log.folder.log(), trusting);
  REQUIRE(trusted.has_value());
  CHECK(trusted->ok());
}

TEST_CASE("verify: works beside a writer") {
  TestState state;
  state.fill(300);
  auto log = state.open();
  for (int i = 0; i < 30; ++i) {
    std::vector<Event> events(100, Event{.kind = Kind::kInferenceDone});
    REQUIRE(log->append_all(events).has_value());
    const VerifyReport report = state.verify();
    REQUIRE_MESSAGE(report.ok(), show(report));
  }
}

TEST_CASE("verify: a damaged journal is found, by its authentication code too") {
  TestState state;
  LogOptions options = state.options();
  options.integrate_after = std::chrono::hours(1);
  auto log = EventLog::open(std::move(options), test_key());
  REQUIRE(log.has_value());
  for (int i = 0; i < 3; ++i) REQUIRE((*log)->append({.kind = Kind::kInferenceDone}).has_value());
  CHECK(state.verify().ok());
  const auto file = state.folder.log() / layout::journal_segment(0);
  const std::string good = slurp_frames(file);
  std::mt19937 random(21);  // NOLINT: the same positions in every run
  for (int i = 0; i < 300; ++i) {
    std::string bad = good;
    const std::size_t position = random() % bad.size();
    bad[position] = static_cast<char>(bad[position] ^ (1u << random() % 8));
    spill(file, bad);
    CAPTURE(position);
    REQUIRE(has(state.verify(), ErrorCode::kLogJournal));
  }
  // A record that hashes right, in a frame that only the key could make.
  const std::string forged = "{}";
  const JournalRecord record{as_bytes(forged), leaf_hash(as_bytes(forged))};
  spill(file, good + encode_frame(3, {&record, 1}, JournalKey(test_key(9).seed())));
  CHECK(has(state.verify(), ErrorCode::kLogJournal));
  spill(file, good);
  CHECK(state.verify().journal_events == 3);
}

TEST_CASE("verify: an index that hides or bends an entry is found") {
  for (const char* sql : {"DELETE FROM events WHERE idx = 5",
                          "UPDATE events SET outcome = 'success', kind = 'x' WHERE idx = 5",
                          "UPDATE events SET time_ms = 0 WHERE idx = 5",
                          "UPDATE events SET model = NULL WHERE idx = 5"}) {
    Tampered log;
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(log.file("index.sqlite").c_str(), &database) == SQLITE_OK);
    REQUIRE(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
    check_only(log.verify(), ErrorCode::kLogIndex, "index.sqlite");
  }
}

TEST_CASE("verify: says that there is no log where there is none") {
  TestFolder folder;
  CHECK(verify_log(folder.path()).error().code == ErrorCode::kLogNotFound);
}
