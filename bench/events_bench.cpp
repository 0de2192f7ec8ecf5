// SPDX-License-Identifier: Apache-2.0
// How many events become durable in a second, beside what the disk gives to a bare fdatasync loop
// in the same run. One line of JSON for each measurement.
//
//   events_bench [FOLDER [submit]]   the folder (default: the current one) says which disk is
//   measured
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "codec/json.h"
#include "log/event_log.h"
#include "log/log_key.h"
#include "log/verify.h"

namespace {

using namespace mlxguard;          // NOLINT: a program of its own
using namespace mlxguard::log;     // NOLINT
using namespace mlxguard::record;  // NOLINT
using Clock = std::chrono::steady_clock;

constexpr std::size_t kRecordBytes = 1024;
constexpr double kSeconds = 2.0;

const SystemClock kClock;
crypto::SystemRandom random_source;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "events_bench: %s\n", why.c_str());
  std::exit(3);
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Processor time of this process so far: on a busy machine the only number that stays the same.
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Line {
  codec::JsonWriter json;
  explicit Line(std::string_view name) {
    json.begin_object().field("bench", "events").field("measurement", name);
  }
  Line& number(std::string_view name, double value) {
    json.key(name).number(value);
    return *this;
  }
  void print() {
    json.end_object();
    std::printf("%s\n", json.text().c_str());
    std::fflush(stdout);
  }
};

/// Appends groups of 1 KB records to a bare file, one fdatasync each. Returns records a second.
double raw(const std::filesystem::path& folder, std::size_t group) {
  const std::string path = (folder / "raw").string();
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.is_open()) stop("cannot open " + path);
  const std::string block(group * kRecordBytes, 'x');
  std::size_t records = 0;
  const auto start = Clock::now();
  while (seconds_since(start) < kSeconds) {
    if (::write(fd.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size()) ||
        ::fdatasync(fd.get()) != 0) {
      stop("cannot write " + path);
    }
    records += group;
  }
  const double rate = static_cast<double>(records) / seconds_since(start);
  ::unlink(path.c_str());
  Line(group == 1 ? "raw_fdatasync_each" : "raw_fdatasync_" + std::to_string(group))
      .number("records_per_s", rate)
      .print();
  return rate;
}

Event event_of_1_kb() {
  Event event{.kind = Kind::kInferenceDone, .model = "minilm"};
  event.message = std::string(150, 'm');
  event.set(Attr::kClientIp, "127.0.0.1").set(Attr::kClientPort, 45678);
  event.set(Attr::kRoute, "POST /v1/embeddings").set(Attr::kDurationUs, 1234);
  event.set(Attr::kRequest, std::string(32, 'r')).set(Attr::kKey, std::string(16, 'k'));
  event.set(Attr::kTokens, 12).set(Attr::kBytesIn, 345);
  event.set(Attr::kRootDigest, std::string(64, 'h'));
  return event;
}

struct TestLog {
  std::filesystem::path state;
  std::unique_ptr<EventLog> log;

  explicit TestLog(const std::filesystem::path& folder) {
    std::string name = (folder / "log-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) stop("cannot make a folder in " + folder.string());
    state = name;
    auto key = load_or_create_log_key(state / "keys", random_source);
    if (!key.has_value()) stop(key.error().message);
    LogOptions options;
    options.dir = state / "log";
    options.origin = "mlxguard/bench";
    options.clock = &kClock;
    options.random = &random_source;
    auto opened = EventLog::open(std::move(options), *std::move(key));
    if (!opened.has_value()) stop(opened.error().message);
    log = *std::move(opened);
  }
  // The files stay until the end of the run: ext4 is slow to make files while it forgets others.
  TestLog(const TestLog&) = delete;
  TestLog& operator=(const TestLog&) = delete;
  ~TestLog() { log.reset(); }
};

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

void report(const std::string& name, TestLog& test, double seconds, std::size_t events,
            std::vector<double>& latencies_ms, double raw_rate, double cpu_before) {
  const double rate = static_cast<double>(events) / seconds;
  const auto start = Clock::now();
  const auto flushed = test.log->flush();
  if (!flushed.has_value()) stop(flushed.error().message);
  const double tree_seconds = seconds + seconds_since(start);
  Line line(name);
  line.number("events_per_s", rate);
  line.number("ratio_to_raw", rate / raw_rate);
  line.number("in_tree_and_index_per_s", static_cast<double>(events) / tree_seconds);
  line.number("cpu_us_per_event", (cpu_seconds() - cpu_before) * 1e6 / static_cast<double>(events));
  line.number("ack_p50_ms", percentile(latencies_ms, 0.5));
  line.number("ack_p99_ms", percentile(latencies_ms, 0.99));
  line.print();
}

/// `threads` callers, each waiting for its event before it sends the next.
void blocking(const std::filesystem::path& folder, int threads, double raw_rate) {
  TestLog test(folder);
  std::atomic<std::size_t> events{0};
  std::vector<std::vector<double>> latencies(static_cast<std::size_t>(threads));
  std::vector<std::thread> callers;
  const double cpu = cpu_seconds();
  const auto start = Clock::now();
  for (std::vector<double>& own : latencies) {
    callers.emplace_back([&] {
      const Event event = event_of_1_kb();
      while (seconds_since(start) < kSeconds) {
        const auto sent = Clock::now();
        const auto done = test.log->append(event);
        if (!done.has_value()) stop(done.error().message);
        own.push_back(seconds_since(sent) * 1e3);
        ++events;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  const double seconds = seconds_since(start);
  std::vector<double> all;
  for (const std::vector<double>& own : latencies) all.insert(all.end(), own.begin(), own.end());
  report(threads == 1 ? "one_by_one" : std::to_string(threads) + "_threads", test, seconds, events,
         all, raw_rate, cpu);
}

/// One producer that never waits for an answer but keeps at most `window` events open, as the
/// supervisor does with what the gateway sends.
void submitting(const std::filesystem::path& folder, std::ptrdiff_t window, double raw_rate) {
  TestLog test(folder);
  std::counting_semaphore<> slots(window);
  std::vector<double> latencies;
  latencies.reserve(1'000'000);
  const Event event = event_of_1_kb();
  std::size_t events = 0;
  const double cpu = cpu_seconds();
  const auto start = Clock::now();
  while (seconds_since(start) < kSeconds) {
    slots.acquire();
    const auto sent = Clock::now();
    test.log->submit(event, [&slots, &latencies, sent](const Result<void>& done) {
      if (!done.has_value()) stop(done.error().message);
      latencies.push_back(seconds_since(sent) * 1e3);
      slots.release();
    });
    ++events;
  }
  for (std::ptrdiff_t i = 0; i < window; ++i) slots.acquire();
  report("submit_window_" + std::to_string(window), test, seconds_since(start), events, latencies,
         raw_rate, cpu);
}

void verifying(const std::filesystem::path& folder) {
  TestLog test(folder);
  const std::vector<Event> events(4096, event_of_1_kb());
  constexpr int kGroups = 25;
  for (int i = 0; i < kGroups; ++i) {
    const auto done = test.log->append_all(events);
    if (!done.has_value()) stop(done.error().message);
  }
  const auto flushed = test.log->flush();
  if (!flushed.has_value()) stop(flushed.error().message);
  const auto start = Clock::now();
  const auto verified = verify_log(test.state / "log");
  const double seconds = seconds_since(start);
  if (!verified.has_value() || !verified->ok()) stop("the log does not verify");
  Line("verify").number("events_per_s", static_cast<double>(verified->size) / seconds).print();
}

}  // namespace

int main(int count, char** arguments) {
  std::string name = std::string(count > 1 ? arguments[1] : ".") + "/events-bench-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) stop("cannot make a folder " + name);
  const std::filesystem::path folder = name;
  if (count > 2) {  // one measurement alone, for a profiler
    submitting(folder, 8192, 1);
  } else {
    const double each = raw(folder, 1);
    const double grouped = raw(folder, 256);
    blocking(folder, 1, each);
    blocking(folder, 8, each);
    blocking(folder, 64, each);
    submitting(folder, 1024, grouped);
    submitting(folder, 8192, grouped);
    verifying(folder);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return 0;
}
