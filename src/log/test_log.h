// SPDX-License-Identifier: Apache-2.0
// For the tests of this folder: a state folder that goes away, a clock and randomness that repeat.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "log/event_log.h"
#include "log/layout.h"
#include "log/log_key.h"
#include "log/query.h"
#include "log/verify.h"

namespace mlxguard::log {

class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "mlxguard-events-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path log() const { return path_ / "log"; }
  [[nodiscard]] std::filesystem::path head() const { return path_ / "log.head"; }

 private:
  std::filesystem::path path_;
};

class TestClock final : public Clock {
 public:
  [[nodiscard]] WallTime now() const override {
    return WallTime(std::chrono::milliseconds(1'700'000'000'000 + ticks_++));
  }
  [[nodiscard]] std::chrono::steady_clock::time_point steady() const override { return {}; }

 private:
  mutable std::atomic<std::int64_t> ticks_{0};
};

class TestRandom final : public crypto::Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_ = 1;
};

inline crypto::Ed25519Key test_key(std::uint8_t seed = 7) {
  const std::vector<std::uint8_t> bytes(32, seed);
  auto key = crypto::Ed25519Key::from_seed(Bytes(bytes));
  REQUIRE(key.has_value());
  return *std::move(key);
}

/// Everything a log needs, in one state folder.
struct TestState {
  TestFolder folder;
  TestClock clock;
  TestRandom random;

  [[nodiscard]] LogOptions options() {
    LogOptions out;
    out.dir = folder.log();
    out.origin = "mlxguard/test";
    out.process_name = "test";
    out.clock = &clock;
    out.random = &random;
    return out;
  }
  [[nodiscard]] Result<std::unique_ptr<EventLog>> try_open() {
    return EventLog::open(options(), test_key());
  }
  [[nodiscard]] std::unique_ptr<EventLog> open() {
    auto log = try_open();
    if (!log.has_value()) FAIL(log.error().message);
    return *std::move(log);
  }
  /// A log of `count` events, closed in order. Message of entry i: "event i".
  void fill(std::uint64_t count) {
    auto log = open();
    std::vector<record::Event> events;
    const std::uint64_t first = log->size();
    for (std::uint64_t i = 0; i < count; ++i) {
      record::Event event{.kind = record::Kind::kInferenceDone,
                          .model = "m" + std::to_string(i % 3)};
      event.message = "event " + std::to_string(first + i);
      events.push_back(std::move(event));
      if (events.size() == 4096 || i + 1 == count) {
        const auto done = log->append_all(events);
        if (!done.has_value()) FAIL(done.error().message);
        events.clear();
      }
    }
    const auto closed = log->close();
    if (!closed.has_value()) FAIL(closed.error().message);
  }
  [[nodiscard]] VerifyReport verify(std::optional<std::string> previous = std::nullopt) {
    static const crypto::Ed25519Key key = test_key();
    VerifyOptions verify_options;
    verify_options.public_key = key.public_key();
    verify_options.log_key = &key;
    verify_options.head_path = folder.head();
    verify_options.previous_checkpoint = std::move(previous);
    auto report = verify_log(folder.log(), verify_options);
    if (!report.has_value()) FAIL(report.error().message);
    return *std::move(report);
  }
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  REQUIRE(stream.good());
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// A journal file without the zeros behind its last frame.
inline std::string slurp_frames(const std::filesystem::path& path) {
  std::string bytes = slurp(path);
  bytes.resize(bytes.find_last_not_of('\0') + 1);
  return bytes;
}

inline void spill(const std::filesystem::path& path, const std::string& text) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << text;
  REQUIRE(stream.good());
}

inline bool has(const VerifyReport& report, ErrorCode code) {
  for (const Finding& finding : report.findings) {
    if (finding.code == code) return true;
  }
  return false;
}

/// The findings as text, for messages of failed checks.
inline std::string show(const VerifyReport& report) {
  std::string out;
  for (const Finding& finding : report.findings) {
    out += std::string(name_of(finding.code)) + " | " + finding.subject + " | " + finding.message +
           "\n";
  }
  return out;
}

inline record::Event numbered(std::int64_t number) {
  record::Event event{.kind = record::Kind::kInferenceDone, .model = "m"};
  event.message = "event " + std::to_string(number);
  return event;
}

inline std::vector<LogRecord> all_records(const TestState& state) {
  auto reader = LogReader::open(state.folder.log());
  if (!reader.has_value()) FAIL(reader.error().message);
  Filter filter;
  filter.limit = 1'000'000;
  auto answer = reader->query(filter);
  if (!answer.has_value()) FAIL(answer.error().message);
  return std::move(answer->records);
}

/// The state folder as a process leaves it that dies now: nothing is closed.
inline void copy_state(const TestState& from, TestState& to) {
  std::filesystem::copy(
      from.folder.path(), to.folder.path(),
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
}

/// A log whose tree is empty and whose journal holds these many events.
inline void leave_unclean(TestState& target, int events) {
  TestState source;
  LogOptions options = source.options();
  options.integrate_after = std::chrono::hours(1);
  auto log = EventLog::open(std::move(options), test_key());
  REQUIRE(log.has_value());
  for (int i = 0; i < events; ++i) REQUIRE((*log)->append(numbered(i)).has_value());
  copy_state(source, target);
}

inline std::filesystem::path first_segment(const TestState& state) {
  return state.folder.log() / layout::journal_segment(0);
}

}  // namespace mlxguard::log
