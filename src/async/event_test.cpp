// SPDX-License-Identifier: Apache-2.0
#include "async/event.h"

#include <doctest/doctest.h>

#include <string>

using namespace mlxguard;
using namespace mlxguard::async;

namespace {

void spawn(Io& io, Task<void> (*body)(Event&, std::string&), Event& event, std::string& trace) {
  asio::co_spawn(io.get_executor(), body(event, trace), asio::detached);
}

Task<void> wait_twice(Event& event, std::string& trace) {
  co_await event.wait();
  trace += "first ";
  co_await event.wait();
  trace += "second ";
}

}  // namespace

TEST_CASE("event: a signal before the wait is kept, and taken by one wait") {
  Io io;
  Event event(io.get_executor());
  std::string trace;
  event.set();
  event.set();
  spawn(io, wait_twice, event, trace);
  io.poll();
  CHECK(trace == "first ");
  event.set();
  io.restart();
  io.poll();
  CHECK(trace == "first second ");
}

TEST_CASE("event: who waits is resumed by the loop, not inside set") {
  Io io;
  Event event(io.get_executor());
  std::string trace;
  spawn(io, wait_twice, event, trace);
  io.poll();
  event.set();
  CHECK(trace.empty());
  io.restart();
  io.poll();
  CHECK(trace == "first ");
}

TEST_CASE("event: a coroutine that still waits is destroyed with its event") {
  Io io;
  auto kept = std::make_shared<int>(1);
  {
    Event event(io.get_executor());
    asio::co_spawn(
        io.get_executor(),
        [kept, &event]() -> Task<void> {
          const auto mine = kept;
          co_await event.wait();
        },
        asio::detached);
    io.poll();
    CHECK(kept.use_count() > 1);
  }
  io.restart();
  io.poll();  // the loop takes the coroutine's frames down
  CHECK(kept.use_count() == 1);
}
