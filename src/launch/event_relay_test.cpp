// SPDX-License-Identifier: Apache-2.0
#include "launch/event_relay.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <string>
#include <thread>
#include <utility>

#include "base/process_bounds.h"

using namespace mlxguard;
using namespace mlxguard::launch;

namespace {

record::Event event(std::int64_t number) {
  record::Event made{.kind = record::Kind::kInferenceDone};
  made.set(record::Attr::kCount, number);
  return made;
}

/// A log whose answers the test gives.
struct FakeLog {
  struct Entry {
    std::int64_t number;
    EventRelay::Done done;
  };
  std::vector<Entry> submitted;
  std::unique_ptr<EventRelay> relay = make();

  std::unique_ptr<EventRelay> make() {
    auto made = EventRelay::create([this](const record::Event& each, EventRelay::Done done) {
      submitted.push_back({*each.find(record::Attr::kCount), std::move(done)});
    });
    REQUIRE(made.has_value());
    return *std::move(made);
  }
  void add(std::uint64_t first, std::uint64_t last) const {
    for (std::uint64_t each = first; each <= last; ++each) {
      REQUIRE(relay->add(each, event(static_cast<std::int64_t>(each)), 100).has_value());
    }
  }
  void answer(std::size_t index, bool written) {
    Result<void> result;
    if (!written) result = make_error(ErrorCode::kLogWrite, "disk full");
    std::exchange(submitted.at(index).done, nullptr)(std::move(result));
  }
  [[nodiscard]] bool notified() const {
    pollfd ready{relay->notify_fd(), POLLIN, 0};
    return ::poll(&ready, 1, 0) == 1;
  }
};

}  // namespace

TEST_CASE("event relay: acknowledges up to the first event that is not durable") {
  FakeLog log;
  log.add(1, 4);
  CHECK(log.submitted.empty());  // one batch, when the caller says so
  log.relay->submit_added();
  REQUIRE(log.submitted.size() == 4);
  CHECK_FALSE(log.notified());
  log.answer(1, true);
  CHECK(log.notified());
  CHECK_FALSE(log.relay->take_acknowledged().has_value());
  CHECK_FALSE(log.notified());
  log.answer(0, true);
  CHECK(log.relay->take_acknowledged() == 2);
  log.answer(3, true);
  log.answer(2, true);
  CHECK(log.relay->take_acknowledged() == 4);
  CHECK_FALSE(log.relay->take_acknowledged().has_value());
  CHECK(log.relay->pending() == 0);
  CHECK(log.relay->pending_bytes() == 0);
}

TEST_CASE("event relay: an event that could not be written is tried again, and none is skipped") {
  FakeLog log;
  log.add(1, 2);
  log.relay->submit_added();
  log.answer(0, false);
  log.answer(1, true);
  CHECK_FALSE(log.relay->take_acknowledged().has_value());
  CHECK(log.relay->has_failed());
  log.relay->retry_failed();
  CHECK_FALSE(log.relay->has_failed());
  REQUIRE(log.submitted.size() == 3);
  CHECK(log.submitted[2].number == 1);
  log.answer(2, true);
  CHECK(log.relay->take_acknowledged() == 2);
}

TEST_CASE("event relay: a number that is not the next one breaks the protocol") {
  FakeLog log;
  log.add(1, 3);
  for (const std::uint64_t wrong : {0ull, 3ull, 5ull, ~0ull}) {
    const auto added = log.relay->add(wrong, event(0), 1);
    REQUIRE_FALSE(added.has_value());
    CHECK(added.error().code == ErrorCode::kWorkerProtocol);
  }
  CHECK(log.relay->pending() == 3);
}

TEST_CASE("event relay: no more events wait than the window holds, written or failed") {
  FakeLog log;
  log.add(1, limits::kEventWindow);
  log.relay->submit_added();
  const auto beyond = log.relay->add(limits::kEventWindow + 1, event(0), 1);
  REQUIRE_FALSE(beyond.has_value());
  CHECK(beyond.error().code == ErrorCode::kWorkerProtocol);
  // A full disk: everything fails, again and again, and nothing grows.
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < limits::kEventWindow; ++i) log.answer(i, false);
    log.submitted.clear();
    CHECK_FALSE(log.relay->take_acknowledged().has_value());
    log.relay->retry_failed();
    CHECK(log.submitted.size() == limits::kEventWindow);
    CHECK(log.relay->pending() == limits::kEventWindow);
  }
  // Room is made by an acknowledgement that the caller has seen.
  log.answer(0, true);
  CHECK_FALSE(log.relay->add(limits::kEventWindow + 1, event(0), 1).has_value());
  CHECK(log.relay->take_acknowledged() == 1);
  CHECK(log.relay->add(limits::kEventWindow + 1, event(0), 1).has_value());
}

TEST_CASE("event relay: no more bytes wait than the window holds") {
  FakeLog log;
  REQUIRE(log.relay->add(1, event(1), limits::kEventWindowBytes - 1).has_value());
  CHECK(log.relay->add(2, event(2), 2).error().code == ErrorCode::kWorkerProtocol);
  CHECK(log.relay->add(2, event(2), 1).has_value());
}

TEST_CASE("event relay: answers come from another thread, from within, and after its end") {
  auto immediate = EventRelay::create(
      [](const record::Event&, const EventRelay::Done& done) { done(Result<void>()); });
  REQUIRE(immediate.has_value());
  REQUIRE((*immediate)->add(1, event(1), 1).has_value());
  (*immediate)->submit_added();
  CHECK((*immediate)->take_acknowledged() == 1);

  FakeLog log;
  log.add(1, 1000);
  log.relay->submit_added();
  std::thread writer([&] {
    for (std::size_t i = 0; i < 999; ++i) log.answer(i, true);
  });
  std::uint64_t acknowledged = 0;
  while (acknowledged < 999) {
    pollfd ready{log.relay->notify_fd(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 10'000) == 1);
    acknowledged = log.relay->take_acknowledged().value_or(acknowledged);
  }
  writer.join();
  log.relay.reset();
  log.answer(999, true);
}
