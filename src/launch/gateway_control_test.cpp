// SPDX-License-Identifier: Apache-2.0
// What a gateway may do on its control channel, and how each breach is met.
#include "launch/gateway_control.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "base/process_bounds.h"
#include "launch/fake_process.h"

using namespace mlxguard;
using namespace mlxguard::launch;

namespace {

struct Link {
  Link() {
    auto ends = wire::Channel::socket_pair();
    REQUIRE(ends.has_value());
    gateway = wire::Channel(std::move(ends->second), ipc::kFromSupervisor);
    auto relay = EventRelay::create([this](const record::Event&, EventRelay::Done done) {
      waiting.push_back(std::move(done));
    });
    REQUIRE(relay.has_value());
    control.emplace(std::move(ends->first), *std::move(relay), test::promised(),
                    sandbox::IsolationReport());
  }
  template <class M>
  void say(const M& message) {
    REQUIRE(gateway.send(message).has_value());
  }
  void become_ready() {
    say(ipc::GatewayReady{"{}", test::promised().bits()});
    const auto heard = control->advance();
    REQUIRE(heard.has_value());
    CHECK(heard->became_ready);
  }
  void announce(const std::string& model, std::uint64_t generation) {
    ipc::ModelUp up;
    up.name = model;
    up.generation = generation;
    REQUIRE(control->announce(up, UniqueFd(::open("/dev/null", O_RDONLY))).has_value());
    REQUIRE(control->flush().has_value());
    const auto told = gateway.receive();
    REQUIRE(told.has_value());
    CHECK(told->descriptors.size() == 1);
  }
  [[nodiscard]] ErrorCode breach() {
    const auto heard = control->advance();
    return heard ? ErrorCode::kInternal : heard.error().code;
  }

  wire::Channel gateway;
  std::vector<EventRelay::Done> waiting;
  std::optional<GatewayControl> control;
};

ipc::ReportEvent event(std::uint64_t sequence) {
  record::Event made{.kind = record::Kind::kInferenceDone};
  made.set(record::Attr::kRootDigest, "00");
  return ipc::ReportEvent::of(sequence, made);
}

}  // namespace

TEST_CASE("gateway control: ready, events and their acknowledgement") {
  Link link;
  CHECK_FALSE(link.control->ready());
  link.become_ready();
  CHECK(link.control->ready());
  link.say(event(1));
  link.say(event(2));
  REQUIRE(link.control->advance().has_value());
  REQUIRE(link.waiting.size() == 2);
  for (auto& done : link.waiting) done(Result<void>());
  link.control->acknowledge();
  REQUIRE(link.control->flush().has_value());
  const auto received = link.gateway.receive();
  REQUIRE(received.has_value());
  CHECK(received->as<ipc::EventAck>()->sequence == 2);
}

TEST_CASE("gateway control: ready with less isolation than this machine allows is refused") {
  Link link;
  link.say(ipc::GatewayReady{"{}", 0});
  CHECK(link.breach() == ErrorCode::kSandboxLevel);
}

TEST_CASE("gateway control: ready twice is a breach") {
  Link link;
  link.become_ready();
  link.say(ipc::GatewayReady{"{}", test::promised().bits()});
  CHECK(link.breach() == ErrorCode::kWorkerProtocol);
}

TEST_CASE("gateway control: an event before ready is a breach") {
  Link link;
  link.say(event(1));
  CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  CHECK(link.waiting.empty());
}

TEST_CASE("gateway control: events beyond the window are a breach, those before it are kept") {
  Link link;
  link.become_ready();
  std::uint64_t sequence = 0;
  Result<GatewayControl::Heard> heard{GatewayControl::Heard{}};
  while (heard && sequence < 2 * limits::kEventWindow) {
    for (int i = 0; i < 16; ++i) link.say(event(++sequence));
    heard = link.control->advance();
  }
  REQUIRE_FALSE(heard.has_value());
  CHECK(heard.error().code == ErrorCode::kWorkerProtocol);
  CHECK(link.waiting.size() == limits::kEventWindow);
  CHECK(link.control->relay().pending() == limits::kEventWindow);
}

TEST_CASE("gateway control: one turn handles a bounded number of messages") {
  Link link;
  link.become_ready();
  for (std::uint64_t i = 1; i <= limits::kControlMessagesPerTurn + 1; ++i) link.say(event(i));
  REQUIRE(link.control->advance().has_value());
  CHECK(link.waiting.size() == limits::kControlMessagesPerTurn);
  REQUIRE(link.control->advance().has_value());
  CHECK(link.waiting.size() == limits::kControlMessagesPerTurn + 1);
}

TEST_CASE("gateway control: a message too large, or with a descriptor, is a breach") {
  SUBCASE("inline") {
    Link link;
    ipc::GatewayReady ready{std::string(limits::kGatewayControlBytesMax, 'x'), 0};
    link.say(ready);
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
  SUBCASE("in memory") {
    Link link;
    link.say(ipc::GatewayReady{std::string(2'000'000, 'x'), 0});
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
  SUBCASE("with a descriptor") {
    Link link;
    const std::array<int, 1> descriptors{link.gateway.fd()};
    REQUIRE(link.gateway
                .send(ipc::GatewayReady{"{}", test::promised().bits()}, descriptors)
                .has_value());
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
}

TEST_CASE("gateway control: a worker is reported once, and only one that was announced") {
  Link link;
  link.become_ready();
  link.announce("mlp", 3);
  link.say(ipc::WorkerOverdue{"mlp", 2});
  link.say(ipc::WorkerOverdue{"mlp", 3});
  const auto heard = link.control->advance();
  REQUIRE(heard.has_value());
  REQUIRE(heard->overdue.size() == 2);
  CHECK(heard->overdue[1].model == "mlp");
  CHECK(heard->overdue[1].generation == 3);
  SUBCASE("again") { link.say(ipc::WorkerOverdue{"mlp", 3}); }
  SUBCASE("an older one") { link.say(ipc::WorkerOverdue{"mlp", 1}); }
  SUBCASE("one that is not there yet") { link.say(ipc::WorkerOverdue{"mlp", 4}); }
  SUBCASE("of another model") { link.say(ipc::WorkerOverdue{"minilm", 1}); }
  CHECK(link.breach() == ErrorCode::kWorkerProtocol);
}

TEST_CASE("gateway control: a message of another section is a breach") {
  Link link;
  link.become_ready();
  SUBCASE("a worker's") { link.say(ipc::WorkerLocked{}); }
  SUBCASE("the supervisor's") { link.say(ipc::EventAck{1}); }
  SUBCASE("a request") { link.say(ipc::LoadModel{}); }
  CHECK(link.breach() == ErrorCode::kWorkerProtocol);
}

TEST_CASE("gateway control: a gateway that stops reading is a breach, not a wait") {
  Link link;
  link.become_ready();
  Result<void> flushed;
  int told = 0;
  for (; told < 100'000 && flushed; ++told) {
    auto packet = wire::pack(ipc::EventAck{1});
    REQUIRE(packet.has_value());
    link.control->send(*std::move(packet));
    flushed = link.control->flush();
  }
  REQUIRE_FALSE(flushed.has_value());
  CHECK(flushed.error().code == ErrorCode::kWorkerProtocol);
  CHECK(told > 4000);
}

TEST_CASE("gateway control: a gateway that is gone is no breach") {
  Link link;
  link.become_ready();
  link.gateway.close();
  CHECK(link.control->advance().has_value());
  auto packet = wire::pack(ipc::EventAck{1});
  link.control->send(*std::move(packet));
  CHECK(link.control->flush().has_value());
  CHECK_FALSE(link.control->wants_to_send());
}
