// SPDX-License-Identifier: Apache-2.0
#include "log/journal.h"

#include <sys/resource.h>

#include <csignal>

#include "log/test_log.h"

using namespace mlxguard;          // NOLINT
using namespace mlxguard::log;  // NOLINT

namespace {

struct Entries {
  std::list<std::string> texts;
  std::vector<JournalRecord> records;

  void add(std::string text) {
    texts.push_back(std::move(text));
    records.push_back({as_bytes(texts.back()), leaf_hash(as_bytes(texts.back()))});
  }
};

Entries entries(std::size_t count, const std::string& name = "e") {
  Entries out;
  for (std::size_t i = 0; i < count; ++i) out.add(name + std::to_string(i));
  return out;
}

std::string frame(std::uint64_t first_index, std::size_t count) {
  return encode_frame(first_index, entries(count).records, JournalKey(test_key().seed()));
}

struct TestJournal {
  TestFolder folder;
  JournalKey key{test_key().seed()};
  [[nodiscard]] std::string dir() const { return folder.path().string(); }
  [[nodiscard]] std::filesystem::path file(std::uint64_t segment) const {
    return folder.path() / layout::journal_segment(segment);
  }
  [[nodiscard]] JournalWriter writer(std::uint64_t next = 0) const {
    auto opened = JournalWriter::open(dir(), next, test_key().seed());
    if (!opened.has_value()) FAIL(opened.error().message);
    return *std::move(opened);
  }
  [[nodiscard]] JournalTail read(std::uint64_t from = 0) const {
    const auto extent = journal_extent(dir());
    REQUIRE(extent.has_value());
    auto tail = read_journal(dir(), *extent, from, &key);
    if (!tail.has_value()) FAIL(tail.error().message);
    return *std::move(tail);
  }
};

}  // namespace

TEST_CASE("journal: a frame reads back as it was written") {
  const JournalKey key(test_key().seed());
  const std::string bytes = frame(17, 3);
  const auto parsed = parse_frame(as_bytes(bytes), &key, FrameCheck::kMacAndEntries);
  REQUIRE(parsed.has_value());
  CHECK(parsed->first_index == 17);
  CHECK(parsed->bytes == bytes.size());
  REQUIRE(parsed->records.size() == 3);
  CHECK(as_text(parsed->records[2].entry) == "e2");
}

TEST_CASE("journal: any changed byte of a frame is found, by outsiders but for the code itself") {
  const JournalKey key(test_key().seed());
  const std::string bytes = frame(17, 3);
  std::size_t unseen = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    const SegmentScan scan = scan_segment(as_bytes(changed), &key, FrameCheck::kMacAndEntries);
    REQUIRE(scan.damage.size() == 1);
    REQUIRE(scan.torn_bytes == 0);
    if (parse_frame(as_bytes(changed), nullptr, FrameCheck::kMacAndEntries).has_value()) ++unseen;
  }
  CHECK(unseen == sizeof(Hash));
}

TEST_CASE("journal: a frame of another key is damage") {
  const JournalKey other(test_key(8).seed());
  const std::string bytes = frame(0, 2);
  CHECK(parse_frame(as_bytes(bytes), &other, FrameCheck::kMac).error().code ==
        ErrorCode::kLogJournal);
}

TEST_CASE("journal: an incomplete end is torn, not damage, wherever it was cut") {
  const JournalKey key(test_key().seed());
  const std::string whole = frame(0, 2);
  const std::string last = frame(2, 2);
  for (std::size_t cut = 1; cut < last.size(); ++cut) {
    const std::string bytes = whole + last.substr(0, cut);
    const SegmentScan scan = scan_segment(as_bytes(bytes), &key, FrameCheck::kMacAndEntries);
    REQUIRE(scan.frames.size() == 1);
    REQUIRE(scan.damage.empty());
    REQUIRE(scan.torn_bytes == cut);
    REQUIRE(scan.end == whole.size());
  }
}

TEST_CASE("journal: zeros behind the last frame are room, not a frame that was torn") {
  const JournalKey key(test_key().seed());
  const std::string bytes = frame(0, 2) + std::string(300, '\0');
  const SegmentScan scan = scan_segment(as_bytes(bytes), &key, FrameCheck::kMac);
  CHECK(scan.frames.size() == 1);
  CHECK(scan.torn_bytes == 0);
  CHECK(scan.damage.empty());
}

TEST_CASE("journal: what reached the zeros only in part is torn, whatever is missing") {
  const JournalKey key(test_key().seed());
  const std::string whole = frame(0, 2);
  const std::string last = encode_frame(2, entries(1, std::string(3000, 'e')).records, key);
  const auto scanned = [&](const std::string& tail, FrameCheck check) {
    const std::string bytes = whole + tail + std::string(5000, '\0');
    const SegmentScan scan = scan_segment(as_bytes(bytes), &key, check);
    CHECK(scan.frames.size() == 1);
    CHECK(scan.end == whole.size());
    return std::pair(scan.torn_bytes > 0, scan.damage.size());
  };
  for (const FrameCheck check : {FrameCheck::kMac, FrameCheck::kMacAndEntries}) {
    for (std::size_t cut = 1; cut < last.size(); cut += 7) {  // the end is missing
      REQUIRE(scanned(last.substr(0, cut), check) == std::pair(true, std::size_t{0}));
    }
    for (std::size_t at = 0; at + 512 <= last.size(); at += 512) {  // one sector is missing
      std::string holed = last;
      holed.replace(at, 512, 512, '\0');
      REQUIRE(scanned(holed, check) == std::pair(true, std::size_t{0}));
    }
    // Changed by somebody's hand: seen.
    std::string changed = last;
    changed[last.size() - 100] = 'f';
    REQUIRE(scanned(changed, check) == std::pair(false, std::size_t{1}));
  }
}

TEST_CASE("journal: small frames are written over zeros, so that the file keeps its size") {
  TestJournal journal;
  JournalWriter writer = journal.writer();
  REQUIRE(writer.append(entries(1).records).has_value());
  const auto size = std::filesystem::file_size(journal.file(0));
  for (int i = 0; i < 20; ++i) REQUIRE(writer.append(entries(2).records).has_value());
  CHECK(std::filesystem::file_size(journal.file(0)) == size);
  CHECK(journal.read().records.size() == 41);
  JournalWriter other = journal.writer(0);
  CHECK(other.next_index() == 41);
  REQUIRE(other.append(entries(1).records).has_value());
  REQUIRE(writer.refresh().has_value());
  CHECK(writer.next_index() == 42);
}

TEST_CASE("journal: intact frames behind a damaged one are found") {
  const JournalKey key(test_key().seed());
  const std::string first = frame(0, 2);
  for (std::size_t i = 0; i < first.size(); ++i) {
    std::string bytes = first + frame(2, 1) + frame(3, 1);
    bytes[i] = static_cast<char>(bytes[i] ^ 1);
    const SegmentScan scan = scan_segment(as_bytes(bytes), &key, FrameCheck::kMacAndEntries);
    REQUIRE(scan.damage.size() == 1);
    REQUIRE(scan.frames.size() == 2);
    REQUIRE(scan.frames[0].first_index == 2);
  }
}

TEST_CASE("journal: writers go on where the last one ended, over files too") {
  TestJournal journal;
  {
    JournalWriter writer = journal.writer();
    REQUIRE(writer.append(entries(3).records).has_value());
    REQUIRE(writer.rotate(1).has_value());
    REQUIRE(writer.append(entries(2).records).has_value());
    CHECK(writer.next_index() == 5);
  }
  JournalWriter writer = journal.writer();
  CHECK(writer.next_index() == 5);
  REQUIRE(writer.append(entries(1).records).has_value());
  const JournalTail tail = journal.read();
  CHECK(tail.records.size() == 6);
  CHECK(tail.damage.empty());
  CHECK(tail.gaps.empty());
  CHECK(journal.read(4).records.size() == 2);
  CHECK(journal.read(6).records.empty());
}

TEST_CASE("journal: two writers see each other's frames") {
  TestJournal journal;
  JournalWriter one = journal.writer();
  JournalWriter two = journal.writer();
  REQUIRE(one.append(entries(2).records).has_value());
  REQUIRE(two.refresh().has_value());
  CHECK(two.next_index() == 2);
  REQUIRE(two.append(entries(1).records).has_value());
  REQUIRE(two.rotate(1).has_value());
  REQUIRE(two.append(entries(1).records).has_value());
  REQUIRE(two.rotate(1).has_value());
  REQUIRE(two.append(entries(1).records).has_value());
  REQUIRE(trim_journal(journal.dir(), 5).has_value());
  REQUIRE(one.refresh().has_value());
  CHECK(one.next_index() == 5);
  REQUIRE(one.append(entries(1).records).has_value());
  CHECK(journal.read(4).records.size() == 2);
}

TEST_CASE("journal: what a dead writer left incomplete is cut off by the next one") {
  TestJournal journal;
  JournalWriter writer = journal.writer();
  REQUIRE(writer.append(entries(2).records).has_value());
  const std::string good = slurp_frames(journal.file(0));
  spill(journal.file(0), good + frame(2, 3).substr(0, 50));
  REQUIRE(writer.refresh().has_value());
  CHECK(slurp_frames(journal.file(0)) == good);
  REQUIRE(writer.append(entries(1).records).has_value());
  CHECK(journal.read().records.size() == 3);
}

TEST_CASE("journal: a writer refuses a journal that was damaged, cut or replaced under it") {
  TestJournal journal;
  JournalWriter writer = journal.writer();
  JournalWriter other = journal.writer();
  REQUIRE(writer.append(entries(2).records).has_value());
  const std::string good = slurp_frames(journal.file(0));
  std::string bad = good;
  bad[40] = static_cast<char>(bad[40] ^ 1);
  spill(journal.file(0), bad);
  CHECK(other.refresh().error().code == ErrorCode::kLogJournal);
  spill(journal.file(0), good.substr(0, 20));
  CHECK(writer.refresh().error().code == ErrorCode::kLogJournal);
  spill(journal.file(0), good);
  REQUIRE(writer.refresh().has_value());
  std::filesystem::rename(journal.file(0), journal.folder.path() / "elsewhere");
  CHECK(writer.refresh().error().code == ErrorCode::kLogJournal);
}

TEST_CASE("journal: a missing frame is a gap, a repeated one is damage") {
  TestJournal journal;
  REQUIRE(journal.writer().append(entries(1).records).has_value());
  const std::string first = slurp_frames(journal.file(0));
  spill(journal.file(0), first + frame(3, 2));
  JournalTail tail = journal.read();
  CHECK(tail.records.size() == 3);
  REQUIRE(tail.gaps.size() == 1);
  CHECK(tail.gaps[0].events == 2);
  CHECK(tail.gaps[0].position == 1);
  spill(journal.file(0), first + first + frame(1, 1));
  tail = journal.read();
  CHECK(tail.records.size() == 2);
  CHECK(tail.damage.size() == 1);
}

TEST_CASE("journal: a seal that stands alone does not make a writer go round in circles") {
  TestJournal journal;
  std::filesystem::create_directories(journal.folder.path() / "journal");
  spill(journal.file(0), frame(0, 0));
  CHECK(JournalWriter::open(journal.dir(), 0, test_key().seed()).error().code ==
        ErrorCode::kLogJournal);
}

TEST_CASE("journal: a write that fails leaves nothing, and the next one works") {
  TestJournal journal;
  JournalWriter writer = journal.writer();
  REQUIRE(writer.append(entries(1).records).has_value());
  const std::string good = slurp_frames(journal.file(0));
  // A file size limit stands in for a full disk: the write succeeds in part, then fails.
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  rlimit small = old;
  small.rlim_cur = good.size() + 60;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto failed = writer.append(entries(20).records);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &old) == 0);
  std::signal(SIGXFSZ, ignored);
  REQUIRE_FALSE(failed.has_value());
  CHECK(slurp_frames(journal.file(0)) == good);
  CHECK(writer.next_index() == 1);
  REQUIRE(writer.refresh().has_value());
  REQUIRE(writer.append(entries(1).records).has_value());
  CHECK(journal.read().records.size() == 2);
}
