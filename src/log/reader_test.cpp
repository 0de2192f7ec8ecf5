// SPDX-License-Identifier: Apache-2.0
#include "log/reader.h"

#include <map>

#include "log/files.h"
#include "log/test_log.h"

using namespace mlxguard;          // NOLINT
using namespace mlxguard::log;     // NOLINT
using namespace mlxguard::record;  // NOLINT

namespace {

std::vector<std::uint64_t> read_all(Cursor& cursor) {
  std::vector<std::uint64_t> indices;
  while (true) {
    const auto entries = cursor.next();
    if (!entries.has_value()) FAIL(entries.error().message);
    if (entries->empty()) return indices;
    for (const LogEntry& entry : *entries) indices.push_back(entry.index);
  }
}

std::vector<std::uint64_t> indices(const std::vector<LogRecord>& records) {
  std::vector<std::uint64_t> out;
  for (const LogRecord& record : records) out.push_back(record.index);
  return out;
}

/// Every file below a folder, with its size and when it was changed.
std::map<std::string, std::pair<std::uintmax_t, std::filesystem::file_time_type>> files_below(
    const std::filesystem::path& folder) {
  std::map<std::string, std::pair<std::uintmax_t, std::filesystem::file_time_type>> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().filename().string().starts_with("index")) continue;
    files[entry.path().string()] = {entry.file_size(), entry.last_write_time()};
  }
  return files;
}

}  // namespace

TEST_CASE("reader: a cursor sees what is in the tree and what is only in the journal, in order") {
  TestState state;
  leave_unclean(state, 700);  // nothing of it is in the tree
  auto cursor = Cursor::open(state.folder.log());
  REQUIRE(cursor.has_value());
  std::vector<std::uint64_t> seen = read_all(*cursor);
  REQUIRE(seen.size() == 700);
  CHECK(seen.front() == 0);
  CHECK(seen.back() == 699);
  CHECK(cursor->position() == 700);

  // The same cursor goes on behind what it has read when the events have moved into the tree.
  const auto log = state.open();
  REQUIRE(log->append(numbered(1)).has_value());
  REQUIRE(log->flush().has_value());
  REQUIRE(log->append(numbered(2)).has_value());
  seen = read_all(*cursor);
  REQUIRE(!seen.empty());
  CHECK(seen.front() == 700);
  CHECK(seen.back() == log->size() - 1);

  auto proven = Cursor::open(state.folder.log(), 650, Cursor::Until::kCheckpoint);
  REQUIRE(proven.has_value());
  seen = read_all(*proven);
  CHECK(seen.front() == 650);
  CHECK(seen.size() >= 51);
  CHECK(Cursor::open(state.folder.path() / "none").error().code == ErrorCode::kLogNotFound);
}

TEST_CASE("reader: reads while a writer holds every lock, and changes nothing") {
  TestState state;
  leave_unclean(state, 20);
  const std::string lock = (state.folder.log() / layout::kAppendLock).string();
  auto append = FileLock::open(lock);
  auto integrate = FileLock::open((state.folder.log() / layout::kIntegrateLock).string());
  REQUIRE(append->acquire(FileLock::Mode::kExclusive).has_value());
  REQUIRE(integrate->acquire(FileLock::Mode::kExclusive).has_value());
  const auto before = files_below(state.folder.path());
  CHECK(all_records(state).size() == 20);
  CHECK(files_below(state.folder.path()) == before);
}

TEST_CASE("reader: what an incomplete frame holds is not there yet") {
  TestState state;
  leave_unclean(state, 3);
  const auto segment = first_segment(state);
  const std::string whole = slurp_frames(segment);
  spill(segment, whole.substr(0, whole.size() - 5));
  auto cursor = Cursor::open(state.folder.log());
  REQUIRE(cursor.has_value());
  CHECK(read_all(*cursor).size() == 2);
  spill(segment, whole);
  CHECK(read_all(*cursor) == std::vector<std::uint64_t>{2});
}

TEST_CASE("query: with and without an index, the same answers by every filter") {
  TestState state;
  {
    auto log = state.open();
    for (int i = 0; i < 40; ++i) {
      const bool failed = i % 8 == 0;
      Event event{.kind = failed ? Kind::kInferenceFailed : Kind::kInferenceDone, .model = "m"};
      event.set(Attr::kRequest, "r" + std::to_string(i)).set(Attr::kClientIp, "192.0.2.1");
      event.set(Attr::kKey, i % 2 == 0 ? "ali\"ce" : "bob").set(Attr::kStatus, failed ? 503 : 200);
      REQUIRE(log->append(event).has_value());
    }
  }
  const auto answers = [&] {
    auto reader = LogReader::open(state.folder.log());
    REQUIRE(reader.has_value());
    std::vector<std::vector<std::uint64_t>> out;
    for (const Order order : {Order::kOldestFirst, Order::kNewestFirst}) {
      for (const Filter& filter : std::vector<Filter>{
               {.attributes = {{AttrId::kRequest, std::string("r7")}}},
               {.attributes = {{AttrId::kKey, std::string("ali\"ce")}}},
               {.attributes = {{AttrId::kStatus, std::int64_t{503}}}},
               {.attributes = {{AttrId::kKey, std::string("bob")},
                               {AttrId::kClientIp, std::string("192.0.2.2")}}},
               {.severity_min = 3},
               {.after_index = 10, .before_index = 20},
               {.limit = 5}}) {
        Filter ordered = filter;
        ordered.order = order;
        const auto answer = reader->query(ordered);
        REQUIRE(answer.has_value());
        CHECK(answer->more == (filter.limit == 5));
        out.push_back(indices(answer->records));
      }
    }
    return out;
  };
  const auto by_index = answers();
  CHECK(by_index[0] == std::vector<std::uint64_t>{7});
  CHECK(by_index[1].size() == 20);
  CHECK(by_index[2] == std::vector<std::uint64_t>{0, 8, 16, 24, 32});
  CHECK(by_index[3].empty());
  CHECK(by_index[4] == by_index[2]);
  CHECK(by_index[5].size() == 9);
  CHECK(by_index[6] == std::vector<std::uint64_t>{0, 1, 2, 3, 4});
  CHECK(by_index[13] == std::vector<std::uint64_t>{39, 38, 37, 36, 35});
  for (const char* name : {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}) {
    std::filesystem::remove(state.folder.log() / name);
  }
  CHECK(answers() == by_index);
}
