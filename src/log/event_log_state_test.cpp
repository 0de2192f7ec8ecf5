// SPDX-License-Identifier: Apache-2.0
// Logs that are not as they were left: tampered with, replaced, of another key, without their
// index.
#include "log/event_log.h"
#include "log/query.h"
#include "log/test_log.h"

using namespace mlxguard;          // NOLINT
using namespace mlxguard::log;  // NOLINT

TEST_CASE("log: a journal that is damaged while it is in use is not integrated over") {
  TestState state;
  LogOptions options = state.options();
  options.integrate_after = std::chrono::hours(1);
  auto log = EventLog::open(std::move(options), test_key());
  REQUIRE(log.has_value());
  LogOptions others = state.options();
  others.integrate_after = std::chrono::hours(1);
  auto other = EventLog::open(std::move(others), test_key());
  REQUIRE(other.has_value());
  for (int i = 0; i < 3; ++i) REQUIRE((*log)->append(numbered(i)).has_value());
  REQUIRE((*other)->append(numbered(3)).has_value());
  const std::string good = slurp(first_segment(state));
  std::string journal = good;
  const std::size_t second = journal.find("MLXGJRN1", 8);
  journal[second + 100] = static_cast<char>(journal[second + 100] ^ 1);
  spill(first_segment(state), journal);
  CHECK((*other)->flush().error().code == ErrorCode::kLogJournal);
  // Who wrote the events still has them.
  REQUIRE((*log)->flush().has_value());
  CHECK(all_records(state).size() >= 3);
  other->reset();
  log->reset();
  CHECK(state.open()->recovery().found_damage());
}

TEST_CASE("log: a log that becomes older while it is in use is not written on") {
  TestState state;
  auto log = state.open();
  REQUIRE(log->append(numbered(0)).has_value());
  REQUIRE(log->flush().has_value());
  const std::string old_checkpoint = slurp(state.folder.log() / "checkpoint");
  REQUIRE(log->append(numbered(1)).has_value());
  REQUIRE(log->flush().has_value());
  spill(state.folder.log() / "checkpoint", old_checkpoint);
  spill(state.folder.head(), old_checkpoint);
  REQUIRE(log->append(numbered(2)).has_value());
  for (int i = 0; i < 3; ++i) {  // and again: it is not forgotten after it was said once
    const auto flushed = log->flush();
    REQUIRE_FALSE(flushed.has_value());
    CHECK(flushed.error().code == ErrorCode::kLogRollback);
  }
}

TEST_CASE("log: a log that is replaced while it is in use is not written on") {
  TestState state;
  TestState other;
  (void)other.clock.now();
  other.fill(5);
  auto log = state.open();
  REQUIRE(log->append(numbered(0)).has_value());
  REQUIRE(log->flush().has_value());
  std::filesystem::remove_all(state.folder.log() / "tile");
  std::filesystem::copy(other.folder.log() / "tile", state.folder.log() / "tile",
                        std::filesystem::copy_options::recursive);
  spill(state.folder.log() / "checkpoint", slurp(other.folder.log() / "checkpoint"));
  spill(state.folder.head(), slurp(other.folder.head()));
  const auto flushed = log->flush();
  REQUIRE_FALSE(flushed.has_value());
  CHECK(flushed.error().code == ErrorCode::kLogRollback);
}

TEST_CASE("log: refuses another key than the one it was begun with") {
  TestState state;
  state.fill(1);
  const auto opened = EventLog::open(state.options(), test_key(8));
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == ErrorCode::kLogKey);
}

TEST_CASE("log: keeps its origin whatever a later opener would call it") {
  TestState state;
  state.fill(1);
  LogOptions options = state.options();
  options.origin = "mlxguard/other";
  const auto opened = EventLog::open(std::move(options), test_key());
  REQUIRE(opened.has_value());
  CHECK((*opened)->origin() == "mlxguard/test");
}

namespace {

/// The index is two files, of which the second is there only where something was left in it.
void copy_index(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const char* file : {"index.sqlite", "index.sqlite-wal"}) {
    if (!std::filesystem::exists(from / file)) continue;
    std::filesystem::copy_file(from / file, to / file,
                               std::filesystem::copy_options::overwrite_existing);
  }
}

}  // namespace

TEST_CASE("log: is not opened once it was tampered with, for writing on would hide it") {
  TestState made;
  made.fill(3);
  const std::string old_checkpoint = slurp(made.folder.log() / "checkpoint");
  made.fill(300);
  const auto refused = [&](auto tamper) {
    TestState state;
    copy_state(made, state);
    tamper(state.folder.path());
    const auto opened = state.try_open();
    REQUIRE_FALSE(opened.has_value());
    return opened.error().code;
  };
  const auto flip = [](const std::filesystem::path& file) {
    std::string text = slurp(file);
    text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
    spill(file, text);
  };
  CHECK(refused([&](const auto& path) { flip(path / "log/checkpoint"); }) ==
        ErrorCode::kLogCheckpoint);
  CHECK(refused([&](const auto& path) { flip(path / "log.head"); }) == ErrorCode::kLogCheckpoint);
  CHECK(refused([&](const auto& path) { flip(path / "log/log.vkey"); }) ==
        ErrorCode::kLogCheckpoint);
  CHECK(refused([&](const auto& path) { flip(path / "log/tile/0/001.p/47"); }) ==
        ErrorCode::kLogRoot);
  CHECK(refused([&](const auto& path) { flip(path / "log/tile/entries/001.p/47"); }) ==
        ErrorCode::kLogEntryChanged);
  CHECK(refused([&](const auto& path) { std::filesystem::remove(path / "log/checkpoint"); }) ==
        ErrorCode::kLogRollback);
  CHECK(refused([&](const auto& path) { std::filesystem::remove(path / "log.head"); }) ==
        ErrorCode::kLogRollback);
  CHECK(refused([&](const auto& path) { std::filesystem::remove_all(path / "log"); }) ==
        ErrorCode::kLogRollback);
  CHECK(refused([&](const auto& path) { std::filesystem::remove(path / "log/tile/1/000.p/1"); }) ==
        ErrorCode::kLogTileChanged);
  // A smaller log that is whole and signed, with only the head left to tell.
  CHECK(refused([&](const auto& path) {
          TestState small;
          small.fill(3);
          std::filesystem::remove_all(path / "log");
          std::filesystem::copy(small.folder.log(), path / "log",
                                std::filesystem::copy_options::recursive);
        }) == ErrorCode::kLogRollback);
  // Another history of the same length, and one that is longer.
  for (const std::uint64_t count : {303u, 500u}) {
    CHECK(refused([&](const auto& path) {
            TestState other;
            (void)other.clock.now();
            other.fill(count);
            std::filesystem::remove_all(path / "log");
            std::filesystem::copy(other.folder.log(), path / "log",
                                  std::filesystem::copy_options::recursive);
          }) == ErrorCode::kLogRollback);
  }
  // Log and head are both old; the index was forgotten.
  CHECK(refused([&](const auto& path) {
          TestState small;
          small.fill(3);
          copy_index(path / "log", small.folder.log());
          std::filesystem::remove_all(path / "log");
          std::filesystem::copy(small.folder.path(), path,
                                std::filesystem::copy_options::recursive |
                                    std::filesystem::copy_options::overwrite_existing);
        }) == ErrorCode::kLogTruncated);
  TestState same;
  copy_state(made, same);
  CHECK(same.try_open().has_value());
}

TEST_CASE("log: an index that is missing, damaged, of another log or behind is made again") {
  TestState state;
  state.fill(300);
  const auto index = state.folder.log() / "index.sqlite";
  const auto remove_index = [&] {
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::filesystem::remove(index.string() + suffix);
    }
  };
  remove_index();
  CHECK(all_records(state).size() == 300);  // read from the log itself
  REQUIRE(state.open()->close().has_value());
  CHECK(all_records(state).size() == 300);
  remove_index();
  spill(index, std::string(8192, 'x'));
  CHECK(has(state.verify(), ErrorCode::kLogIndex));
  REQUIRE(state.open()->close().has_value());
  CHECK(all_records(state).size() == 300);
  const std::string old_index = slurp(index);
  state.fill(10);
  remove_index();
  spill(index, old_index);
  REQUIRE(state.open()->close().has_value());
  CHECK(all_records(state).size() == 310);
  TestState other;
  {
    LogOptions options = other.options();
    options.origin = "mlxguard/other";
    REQUIRE(EventLog::open(std::move(options), test_key()).has_value());
  }
  remove_index();
  std::filesystem::copy(other.folder.log() / "index.sqlite", index);
  REQUIRE(state.open()->close().has_value());
  CHECK(all_records(state).size() == 310);
  CHECK(state.verify().ok());
}
