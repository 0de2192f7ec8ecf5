// SPDX-License-Identifier: Apache-2.0
// For tests of the client's end: an event loop, a queue, and a worker played by the test.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "call/call_queue.h"

namespace mlxguard::call::test {

using namespace std::chrono_literals;

/// One asker: what its call brought so far.
struct Asked {
  std::shared_ptr<Call> call;
  std::vector<std::uint8_t> parts;  ///< the first byte of each
  bool done = false;

  [[nodiscard]] std::string code() const {
    if (!done) return "waits";
    if (const auto* worker = std::get_if<WorkerError>(&call->outcome())) {
      return "worker: " + std::string(name_of(worker->code()));
    }
    if (const auto* link = std::get_if<LinkError>(&call->outcome())) {
      return std::string(name_of(link->code()));
    }
    return "done";
  }
};

struct Loop {
  explicit Loop(CallQueueOptions options = {})
      : queue(std::make_shared<CallQueue>(io.get_executor(), options)) {}
  ~Loop() { io.drop_everything(); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Runs everything that can run now.
  void run() {
    for (int i = 0; i < 5; ++i) {
      io.restart();
      io.poll();
    }
  }
  template <class Condition>
  void run_until(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < limit) {
      io.restart();
      io.run_for(5ms);
    }
    CHECK(condition());
  }
  void attach() {
    auto [mine, theirs] = wire::Channel::pair(kCallBounds, kCallBounds).value();
    worker = std::move(mine);
    queue->attach(std::move(theirs), [this] { ++overdue; });
    run();
  }
  std::shared_ptr<Asked> ask(const std::string& key = "k", std::chrono::milliseconds time = 60s,
                             std::uint32_t window = 1, bool reads = true) {
    Request request;
    request.task = "t";
    request.payload = {static_cast<std::uint8_t>(next_payload++)};
    request.deadline = std::chrono::steady_clock::now() + time;
    request.window = window;
    request.key = key;
    const auto asked = std::make_shared<Asked>();
    asked->call = queue->ask(std::move(request));
    if (reads) read(asked);
    run();
    return asked;
  }
  void read(const std::shared_ptr<Asked>& asked) {
    async::asio::co_spawn(
        io.get_executor(),
        [asked]() -> Task<void> {
          while (auto part = co_await asked->call->next()) asked->parts.push_back(part->bytes[0]);
          asked->done = true;
        },
        async::asio::detached);
    run();
  }

  // What the worker does.
  std::optional<wire::Received> hear() {
    run();
    auto received = worker.try_receive();
    REQUIRE(received.has_value());
    return std::move(*received);
  }
  /// The next Open and its payload's first byte.
  std::pair<Open, int> hear_open() {
    const auto received = hear();
    REQUIRE(received.has_value());
    const auto read = received->with_body<Open>();
    REQUIRE(read.has_value());
    return {read->first, read->second[0]};
  }
  template <class M>
  M hear_one() {
    const auto received = hear();
    REQUIRE(received.has_value());
    const auto message = received->as<M>();
    REQUIRE(message.has_value());
    return *message;
  }
  template <class M>
  void say(const M& message) {
    REQUIRE(worker.send(message).has_value());
    run();
  }
  template <class M>
  void say(const M& message, std::vector<std::uint8_t> body) {
    REQUIRE(worker.send(*wire::pack_with_body(message, body)).has_value());
    run();
  }
  void answer(std::uint64_t id, std::uint8_t first_byte = 1) {
    say(End{.id = id, .has_part = true}, {first_byte});
  }

  async::Io io;
  std::shared_ptr<CallQueue> queue;
  wire::Channel worker;
  int overdue = 0;
  int next_payload = 1;
};

}  // namespace mlxguard::call::test
