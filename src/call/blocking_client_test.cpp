// SPDX-License-Identifier: Apache-2.0
#include "call/blocking_client.h"

#include <doctest/doctest.h>

#include <thread>

using namespace mlxguard;
using namespace mlxguard::call;
using namespace std::chrono_literals;

namespace {

struct Answer {
  std::string parts;
  Result<Outcome> outcome;
};

/// Asks once; `serve` plays the server.
Answer ask(const std::function<void(wire::Channel& server, std::uint64_t id)>& serve,
           std::chrono::milliseconds time = 20s) {
  auto [client, server] = wire::Channel::pair(kCallBounds, kCallBounds).value();
  std::thread other([&serve, &its_end = server] {
    const auto received = its_end.receive();
    const auto read = received->with_body<Open>();
    serve(its_end, read->first.id);
  });
  std::string parts;
  auto outcome = ask_and_wait(client, {"t", {1, 2}, std::chrono::steady_clock::now() + time},
                              [&](Bytes part) -> Result<void> {
                                parts += as_text(part);
                                if (parts == "stop") return make_error(ErrorCode::kIo, "full");
                                return {};
                              });
  client.close();
  other.join();
  return {parts, std::move(outcome)};
}

std::vector<std::uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

TEST_CASE("blocking client: an answer of one part, and one of several") {
  const Answer one = ask([](wire::Channel& server, std::uint64_t id) {
    (void)server.send(*wire::pack_with_body(End{.id = id, .has_part = true}, bytes("all")));
  });
  CHECK(one.parts == "all");
  CHECK(std::holds_alternative<Usage>(*one.outcome));
  const Answer several = ask([](wire::Channel& server, std::uint64_t id) {
    for (const char* text : {"a", "b"}) {
      (void)server.send(*wire::pack_with_body(Part{id}, bytes(text)));
      CHECK(server.receive()->as<Credit>().value().parts == 1);
    }
    (void)server.send(End{.id = id});
  });
  CHECK(several.parts == "ab");
  CHECK(std::holds_alternative<Usage>(*several.outcome));
}

TEST_CASE("blocking client: what the server says of a failure is its own type") {
  const Answer failed = ask([](wire::Channel& server, std::uint64_t id) {
    (void)server.send(End{.id = id, .code = "engine.run", .reason = "x"});
  });
  REQUIRE(failed.outcome.has_value());
  CHECK(std::get<WorkerError>(*failed.outcome).code() == ErrorCode::kEngineRun);
}

TEST_CASE("blocking client: gone, silent, lying, and a part that cannot be taken are errors") {
  CHECK(ask([](wire::Channel& server, std::uint64_t) { server.close(); }).outcome.error().code ==
        ErrorCode::kWorkerUnavailable);
  CHECK(ask([](wire::Channel& server, std::uint64_t) { (void)server.receive(); }, 10ms)
            .outcome.error()
            .code == ErrorCode::kDeadline);
  CHECK(ask([](wire::Channel& server, std::uint64_t id) {
          (void)server.send(End{.id = id + 1});
        }).outcome.error().code == ErrorCode::kWorkerProtocol);
  CHECK(ask([](wire::Channel& server, std::uint64_t id) {
          (void)server.send(*wire::pack_with_body(Part{id}, bytes("stop")));
        }).outcome.error().code == ErrorCode::kIo);
}
