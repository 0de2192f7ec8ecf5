// SPDX-License-Identifier: Apache-2.0
#include "call/call_server.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>

using namespace mlxguard;
using namespace mlxguard::call;

namespace {

using TimePoint = std::chrono::steady_clock::time_point;

class TestClock final : public Clock {
 public:
  [[nodiscard]] WallTime now() const override { return {}; }
  [[nodiscard]] TimePoint steady() const override { return time; }
  TimePoint time{std::chrono::seconds(100)};
};

/// What the runs of a test have done.
struct Log {
  std::vector<std::string> steps;
  int alive = 0;
  std::function<void()> on_step;
};

/// Counts from 1 to the number that its payload says, a part a step.
class Counter final : public Run {
 public:
  Counter(std::string name, int count, Log& log, std::size_t part_bytes)
      : name_(std::move(name)), count_(count), log_(log), part_bytes_(part_bytes) {
    ++log_.alive;
  }
  ~Counter() override { --log_.alive; }
  [[nodiscard]] Result<Step> next() override {
    log_.steps.push_back(name_ + std::to_string(++at_));
    if (log_.on_step) log_.on_step();
    if (name_ == "fails") return make_error(ErrorCode::kEngineRun, "no more").about("7");
    std::vector<std::uint8_t> part(std::max<std::size_t>(1, part_bytes_));
    part[0] = static_cast<std::uint8_t>(at_);
    if (at_ >= count_) return Step::last_of(std::move(part));
    return name_ == "quiet" ? Step::more() : Step::of(std::move(part));
  }
  [[nodiscard]] Usage usage() const override {
    return {.tokens_out = static_cast<std::uint64_t>(at_)};
  }

 private:
  std::string name_;
  int count_;
  Log& log_;
  std::size_t part_bytes_;
  int at_ = 0;
};

constexpr std::int64_t kLater = std::chrono::nanoseconds(std::chrono::seconds(200)).count();

struct Bench {
  TestClock clock;
  Log log;
  std::size_t part_bytes = 1;
  CallServer server{[this](const Opening& opening) -> Result<std::unique_ptr<Run>> {
                      if (opening.payload.empty()) {
                        return make_error(ErrorCode::kRequestMissing, "no number");
                      }
                      return std::unique_ptr<Run>(std::make_unique<Counter>(
                          opening.task, opening.payload[0], log, part_bytes));
                    },
                    clock, {.channels_max = 2, .running_max = 2}};
  wire::Channel client = connect();

  wire::Channel connect() {
    auto [mine, theirs] = wire::Channel::pair(kCallBounds, kCallBounds).value();
    server.serve(std::move(theirs));
    return std::move(mine);
  }
  void open(std::uint64_t id, const std::string& task, std::uint8_t count,
            std::uint32_t credit = 100, std::int64_t deadline = kLater, bool tell = false) {
    const std::vector<std::uint8_t> payload{count};
    const auto packet = wire::pack_with_body(Open{id, deadline, credit, tell, task}, payload);
    REQUIRE(client.send(*packet).has_value());
  }
  void turn() {
    server.exchange();
    server.step();
  }
  void turns(int count) {
    while (count-- > 0) turn();
  }
  /// The next message; it is there.
  wire::Received hear() {
    auto received = client.try_receive();
    REQUIRE(received.has_value());
    REQUIRE(received->has_value());
    return std::move(**received);
  }
  void expect_part(std::uint64_t id, std::uint8_t number) {
    const auto received = hear();
    const auto read = received.with_body<Part>();
    REQUIRE(read.has_value());
    CHECK(read->first.id == id);
    REQUIRE(!read->second.empty());
    CHECK(read->second[0] == number);
  }
  End expect_end(std::uint64_t id, const std::string& code) {
    const auto received = hear();
    auto read = received.with_body<End>();
    REQUIRE(read.has_value());
    CHECK(read->first.id == id);
    CHECK(read->first.code == code);
    return std::move(read->first);
  }
  bool silent() {
    auto received = client.try_receive();
    return received.has_value() && !received->has_value();
  }
  /// The server has hung up.
  bool cut_off() {
    server.exchange();
    for (;;) {
      auto received = client.try_receive();
      if (!received) return received.error().code == ErrorCode::kWorkerUnavailable;
      if (!received->has_value()) return false;
    }
  }
};

}  // namespace

TEST_CASE("call server: an answer of one part is one message") {
  Bench bench;
  bench.open(1, "a", 1);
  bench.turn();
  const End end = bench.expect_end(1, "");
  CHECK(end.has_part);
  CHECK(end.usage.tokens_out == 1);
  CHECK(bench.silent());
  CHECK(bench.log.alive == 0);
}

TEST_CASE("call server: parts come while the call still runs") {
  Bench bench;
  bench.open(1, "a", 3);
  bench.turn();
  bench.expect_part(1, 1);
  CHECK(bench.log.alive == 1);
  bench.turns(2);
  bench.expect_part(1, 2);
  CHECK(bench.expect_end(1, "").has_part);
}

TEST_CASE("call server: calls take turns, and only so many begin") {
  Bench bench;
  bench.open(1, "a", 3);
  bench.open(2, "b", 3);
  bench.open(3, "c", 1);
  bench.turns(7);
  CHECK(bench.log.steps ==
        std::vector<std::string>{"a1", "b1", "a2", "b2", "a3", "c1", "b3"});
  CHECK(!bench.server.has_work());
}

TEST_CASE("call server: a cancel takes effect at the next step") {
  Bench bench;
  bench.open(1, "quiet", 100);
  bench.turns(3);
  REQUIRE(bench.client.send(Cancel{1}).has_value());
  bench.turn();
  CHECK(bench.log.steps.size() == 3);
  CHECK(bench.log.alive == 0);
  bench.expect_end(1, "client.gone");
  CHECK(!bench.server.has_work());
  // A cancel that crosses with the end is no breach.
  REQUIRE(bench.client.send(Cancel{1}).has_value());
  bench.turn();
  CHECK(bench.server.channels() == 1);
}

TEST_CASE("call server: a call that waits is cancelled without having begun") {
  Bench bench;
  for (std::uint64_t id = 1; id <= 3; ++id) bench.open(id, "quiet", 100);
  bench.turns(2);
  REQUIRE(bench.client.send(Cancel{3}).has_value());
  bench.turns(4);
  bench.expect_end(3, "client.gone");
  CHECK(bench.log.alive == 2);
}

TEST_CASE("call server: without credit a call stops, and others go on") {
  Bench bench;
  bench.open(1, "a", 100, 2);
  bench.open(2, "b", 3);
  bench.turns(8);
  CHECK(bench.log.steps == std::vector<std::string>{"a1", "b1", "a2", "b2", "b3"});
  CHECK(!bench.server.has_work());
  REQUIRE(bench.client.send(Credit{1, 1}).has_value());
  bench.turns(3);
  CHECK(bench.log.steps.size() == 6);
}

TEST_CASE("call server: a client that does not read is not computed for, and others are") {
  Bench bench;
  bench.part_bytes = 50'000;
  bench.open(1, "a", 200, kCreditMax);
  wire::Channel other = bench.connect();
  bench.turns(400);
  const std::size_t before = bench.log.steps.size();
  CHECK(before < 100);
  CHECK(!bench.server.has_work());
  const std::vector<std::uint8_t> payload{1};
  REQUIRE(other.send(*wire::pack_with_body(Open{1, kLater, 1, false, "b"}, payload)).has_value());
  bench.turn();
  CHECK(bench.log.steps.back() == "b1");
  // It reads again: its call goes on.
  while (!bench.silent()) {
  }
  bench.turns(3);
  CHECK(bench.log.steps.size() > before + 1);
}

TEST_CASE("call server: tells that a call begins if it was asked to") {
  Bench bench;
  bench.open(1, "a", 1, 1, kLater, true);
  bench.turn();
  const auto begun = bench.hear();
  CHECK(begun.as<Begun>().value().id == 1);
  bench.expect_end(1, "");
}

TEST_CASE("call server: a call past its deadline does not run, and does not answer late") {
  Bench bench;
  bench.open(1, "a", 1, 1, bench.clock.time.time_since_epoch().count());
  bench.open(2, "a", 1, 1, INT64_MIN);
  bench.turns(2);
  bench.expect_end(1, "deadline.exceeded");
  bench.expect_end(2, "deadline.exceeded");
  CHECK(bench.log.steps.empty());
  bench.open(3, "quiet", 9);
  bench.turn();
  bench.clock.time += std::chrono::seconds(1000);
  bench.turn();
  bench.expect_end(3, "deadline.exceeded");
  CHECK(bench.log.alive == 0);
}

TEST_CASE("call server: an answer that comes after the deadline is not sent") {
  Bench bench;
  bench.log.on_step = [&bench] { bench.clock.time += std::chrono::seconds(1000); };
  bench.open(1, "a", 1);
  bench.turn();
  CHECK(bench.log.steps.size() == 1);
  bench.expect_end(1, "deadline.exceeded");
  CHECK(bench.silent());
}

TEST_CASE("call server: what goes wrong in a call ends that call alone") {
  Bench bench;
  bench.open(1, "fails", 5);
  bench.turn();
  const End end = bench.expect_end(1, "engine.run");
  CHECK(end.reason == "7: no more");
  REQUIRE(bench.client.send(Open{2, kLater, 1, false, "a"}).has_value());
  bench.turn();
  bench.expect_end(2, "request.missing");
  bench.open(3, "a", 1);
  bench.turn();
  bench.expect_end(3, "");
}

TEST_CASE("call server: a client that goes takes its calls with it") {
  Bench bench;
  bench.open(1, "quiet", 100);
  bench.turn();
  CHECK(bench.log.alive == 1);
  bench.client.close();
  bench.server.exchange();
  CHECK(bench.log.alive == 0);
  CHECK(bench.server.channels() == 0);
  CHECK(bench.server.calls() == 0);
}

TEST_CASE("call server: the oldest channel makes room for one too many") {
  Bench bench;
  wire::Channel second = bench.connect();
  wire::Channel third = bench.connect();
  CHECK(bench.server.channels() == 2);
  CHECK(bench.cut_off());
}

TEST_CASE("call server: whoever breaks the protocol is cut off") {
  const auto breaks = [](const std::function<void(Bench&)>& attack) {
    Bench bench;
    bench.open(5, "quiet", 100);
    bench.turn();
    attack(bench);
    const bool cut = bench.cut_off();
    CHECK(bench.log.alive == (cut ? 0 : 1));
    return cut;
  };
  CHECK(!breaks([](Bench&) {}));
  CHECK(breaks([](Bench& bench) { bench.open(5, "a", 1); }));
  CHECK(breaks([](Bench& bench) { bench.open(4, "a", 1); }));
  CHECK(breaks([](Bench& bench) { bench.open(6, "a", 1, kCreditMax + 1); }));
  CHECK(breaks([](Bench& bench) { bench.open(6, std::string(65, 'a'), 1); }));
  CHECK(breaks([](Bench& bench) { (void)bench.client.send(Credit{5, kCreditMax}); }));
  CHECK(breaks([](Bench& bench) { (void)bench.client.send(Credit{5, UINT32_MAX}); }));
  CHECK(breaks([](Bench& bench) { (void)bench.client.send(Credit{6, 1}); }));
  CHECK(breaks([](Bench& bench) { (void)bench.client.send(Cancel{6}); }));
  CHECK(breaks([](Bench& bench) { (void)bench.client.send(Part{5}); }));
  CHECK(breaks([](Bench& bench) { (void)bench.client.send(End{.id = 5}); }));
  CHECK(breaks([](Bench& bench) { (void)bench.client.send(*wire::pack(81, {1, 2, 3})); }));
  CHECK(breaks([](Bench& bench) {
    for (std::uint64_t id = 6; id < 6 + kCallsMax; ++id) bench.open(id, "a", 1);
  }));
}

TEST_CASE("call server: a client that opens, cancels and never reads is cut off") {
  Bench bench;
  std::uint64_t id = 0;
  for (int round = 0; round < 4000 && bench.server.channels() > 0; ++round) {
    const auto packet = wire::pack(Open{++id, kLater, 1, false, "a"});
    if (!bench.client.send(*packet) || !bench.client.send(Cancel{id})) break;
    bench.server.exchange();
  }
  CHECK(bench.server.channels() == 0);
}
