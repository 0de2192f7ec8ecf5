// SPDX-License-Identifier: Apache-2.0
// The supervisor's decisions, over processes that are none: the test plays every worker and
// gateway, decides the time, and looks at what was recorded.
#include "launch/supervisor.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

#include "launch/fake_process.h"

using namespace mlxguard;
using namespace mlxguard::launch;
using namespace std::chrono_literals;
using record::Attr;
using record::Kind;

namespace {

struct FakeClock final : Clock {
  WallTime wall{};
  std::chrono::steady_clock::time_point time = std::chrono::steady_clock::now();
  [[nodiscard]] WallTime now() const override { return wall; }
  [[nodiscard]] std::chrono::steady_clock::time_point steady() const override { return time; }
};

/// The other end of a process that the supervisor believes to have started.
struct Peer {
  std::shared_ptr<test::FakeProcessState> state = std::make_shared<test::FakeProcessState>();
  wire::Channel channel;
};

std::shared_ptr<const signature::VerifiedModel> model_named(const std::string& name) {
  auto model = signature::VerifiedModel::receive(name, std::string(64, '0'), {});
  REQUIRE(model.has_value());
  return std::make_shared<const signature::VerifiedModel>(*std::move(model));
}

struct World {
  World() {
    SupervisorParts parts;
    parts.models = {model_named("a"), model_named("b")};
    parts.start_worker = [this](const auto& model) { return start_worker(model); };
    parts.start_gateway = [this] { return start_gateway(); };
    parts.log = &log;
    parts.clock = &clock;
    parts.drain_time_max = 200ms;
    parts.restarts.jitter = 0;
    supervisor.emplace(std::move(parts));
  }

  Result<WorkerProcess> start_worker(const std::shared_ptr<const signature::VerifiedModel>& model) {
    if (refuse_workers) return make_error(ErrorCode::kWorkerStart, "no process to be had");
    auto ends = wire::Channel::socket_pair();
    Peer& peer = workers[model->name()].emplace_back();
    peer.state->pid = next_pid++;
    peer.channel = wire::Channel(std::move(ends->second), ipc::kFromSupervisor);
    if (starting) say_ready(peer);
    return WorkerProcess(model, std::make_unique<test::FakeProcess>(peer.state),
                         std::move(ends->first), 1, test::promised());
  }
  Result<GatewayProcess> start_gateway() {
    auto ends = wire::Channel::socket_pair();
    Peer& peer = gateways.emplace_back();
    peer.state->pid = next_pid++;
    peer.channel = wire::Channel(std::move(ends->second), ipc::kFromSupervisor);
    const auto say = ipc::GatewayReady{"{}", test::promised().bits()};
    if (starting) REQUIRE(peer.channel.send(say).has_value());
    auto relay = EventRelay::create([this](const record::Event& event, EventRelay::Done done) {
      REQUIRE(log.append(event).has_value());
      done(Result<void>());
    });
    return GatewayProcess(std::make_unique<test::FakeProcess>(peer.state), std::move(ends->first),
                          *std::move(relay), test::promised());
  }
  static void say_ready(Peer& worker) {
    REQUIRE(worker.channel.send(ipc::WorkerLocked{"{}", test::promised().bits()}).has_value());
    REQUIRE(worker.channel.send(ipc::WorkerReady{"schema", "mlx", 5}).has_value());
  }

  void start() {
    starting = true;
    REQUIRE(supervisor->start().has_value());
    starting = false;
  }
  void turn() {
    const auto done = supervisor->turn(never.get(), 0ms);
    REQUIRE(done.has_value());
    CHECK(*done == Supervisor::Turn::kDone);
  }
  [[nodiscard]] std::vector<record::Event> events(Kind kind) const {
    std::vector<record::Event> found = log.events();
    std::erase_if(found, [kind](const record::Event& event) { return event.kind != kind; });
    return found;
  }
  /// The next message of this kind that the peer was sent.
  template <class M>
  static M told(Peer& peer) {
    for (;;) {
      auto received = peer.channel.try_receive();
      REQUIRE(received.has_value());
      REQUIRE(received->has_value());
      if ((*received)->template is<M>()) return *(*received)->template as<M>();
    }
  }
  [[nodiscard]] Peer& worker(const std::string& name) { return workers[name].back(); }
  [[nodiscard]] Peer& gateway() { return gateways.back(); }

  FakeClock clock;
  record::RecordingSink log;
  UniqueFd never{::eventfd(0, EFD_CLOEXEC)};
  std::map<std::string, std::vector<Peer>> workers;
  std::vector<Peer> gateways;
  int next_pid = 100;
  bool starting = false;
  bool refuse_workers = false;
  std::optional<Supervisor> supervisor;
};

template <class Value>
Value field(const record::Event& event, record::TypedAttr<Value> attr) {
  const Value* value = event.find(attr);
  REQUIRE(value != nullptr);
  return *value;
}

ipc::ReportEvent inference(std::uint64_t sequence) {
  record::Event event{.kind = Kind::kInferenceDone};
  event.set(Attr::kRootDigest, "00");
  return ipc::ReportEvent::of(sequence, event);
}

}  // namespace

TEST_CASE("supervisor: starts workers, then the gateway, and tells it of each") {
  World world;
  world.start();
  CHECK(world.supervisor->models()[1].pid == world.worker("b").state->pid);
  CHECK(world.supervisor->gateway_pid() == world.gateway().state->pid);
  const auto first = World::told<ipc::ModelUp>(world.gateway());
  CHECK(first.name == "a");
  CHECK(first.generation == 1);
  CHECK(first.schema == "schema");
  CHECK(World::told<ipc::ModelUp>(world.gateway()).name == "b");
  CHECK(World::told<ipc::ServeChannel>(world.worker("a")).unused == 0);
  const auto started = world.events(Kind::kWorkerStarted);
  REQUIRE(started.size() == 2);
  CHECK(started[0].model == "a");
  CHECK(field(started[0], Attr::kProcess) == "worker");
  CHECK(field(started[0], Attr::kPid) == world.worker("a").state->pid);
}

TEST_CASE("supervisor: a dead worker is judged, told of, recorded with its own pid, restarted") {
  World world;
  world.start();
  const int pid = world.worker("a").state->pid;
  world.worker("a").state->die(sandbox::ExitReason::kMemory);
  world.turn();  // the first restart comes at once
  const auto down = World::told<ipc::ModelDown>(world.gateway());
  CHECK(down.name == "a");
  CHECK(down.generation == 1);
  CHECK(down.reason.code == name_of(ErrorCode::kWorkerMemory));
  const auto died = world.events(Kind::kWorkerDied);
  REQUIRE(died.size() == 1);
  CHECK(died[0].model == "a");
  CHECK(died[0].code == ErrorCode::kWorkerMemory);
  CHECK(field(died[0], Attr::kPid) == pid);
  CHECK(field(died[0], Attr::kGeneration) == 1);
  CHECK(field(died[0], Attr::kVerdict) == "memory");

  REQUIRE(world.workers["a"].size() == 2);
  World::say_ready(world.worker("a"));
  world.turn();
  const auto up = World::told<ipc::ModelUp>(world.gateway());
  CHECK(up.name == "a");
  CHECK(up.generation == 2);
  const auto restarted = world.events(Kind::kWorkerRestarted);
  REQUIRE(restarted.size() == 1);
  CHECK(field(restarted[0], Attr::kPid) == world.worker("a").state->pid);
  CHECK(world.workers["b"].size() == 1);
}

TEST_CASE("supervisor: a worker that dies again and again is restarted later and later") {
  World world;
  world.start();
  for (int i = 0; i < 2; ++i) {
    world.worker("a").state->die(sandbox::ExitReason::kCrashSignal);
    world.turn();
    world.turn();
  }
  CHECK(world.workers["a"].size() == 2);  // the second restart is delayed
  world.clock.time += 99ms;
  world.turn();
  CHECK(world.workers["a"].size() == 2);
  world.clock.time += 2ms;
  world.turn();
  CHECK(world.workers["a"].size() == 3);
}

TEST_CASE("supervisor: a worker that breaks the protocol is killed, and its record says why") {
  World world;
  world.start();
  REQUIRE(world.worker("a").channel.send(ipc::WorkerReady{}).has_value());
  world.turn();
  CHECK(world.worker("a").state->kills ==
        std::vector<sandbox::KillReason>{sandbox::KillReason::kShutdown});
  // Whatever it says now is not heard, and does not keep the supervisor busy.
  for (int i = 0; i < 100; ++i) {
    REQUIRE(world.worker("a").channel.send(ipc::WorkerReady{}).has_value());
  }
  world.turn();
  world.worker("a").state->die(sandbox::ExitReason::kKilled);
  world.turn();
  const auto died = world.events(Kind::kWorkerDied);
  REQUIRE(died.size() == 1);
  CHECK(died[0].code == ErrorCode::kWorkerProtocol);
  CHECK(world.worker("b").state->kills.empty());
}

TEST_CASE("supervisor: a worker that is not ready in time is killed") {
  World world;
  world.start();
  world.worker("a").state->die(sandbox::ExitReason::kCrashSignal);
  world.turn();
  world.clock.time += 59s;
  world.turn();
  CHECK(world.worker("a").state->kills.empty());
  world.clock.time += 1s;
  world.turn();
  CHECK(world.worker("a").state->kills ==
        std::vector<sandbox::KillReason>{sandbox::KillReason::kOverdue});
}

TEST_CASE("supervisor: a process that closes its channel and lives on is killed") {
  World world;
  world.start();
  SUBCASE("a worker") {
    world.worker("a").channel.close();
    world.turn();
    CHECK(world.worker("a").state->kills.empty());  // it may be dying by itself
    world.clock.time += 2s;
    world.turn();
    CHECK(world.worker("a").state->kills.size() == 1);
  }
  SUBCASE("the gateway") {
    world.gateway().channel.close();
    world.turn();
    CHECK(world.gateway().state->kills.empty());
    world.clock.time += 2s;
    world.turn();
    CHECK(world.gateway().state->kills.size() == 1);
  }
  world.turn();
  CHECK(world.worker("a").state->kills.size() + world.gateway().state->kills.size() == 1);
}

TEST_CASE("supervisor: a worker that cannot be started is tried again") {
  World world;
  world.start();
  world.refuse_workers = true;
  world.worker("a").state->die(sandbox::ExitReason::kCrashSignal);
  world.turn();
  CHECK(world.events(Kind::kSandboxRefused).size() == 1);
  CHECK(world.workers["a"].size() == 1);
  world.refuse_workers = false;
  world.clock.time += 2s;
  world.turn();
  CHECK(world.workers["a"].size() == 2);
}

TEST_CASE("supervisor: a gateway's events are recorded and acknowledged") {
  World world;
  world.start();
  REQUIRE(world.gateway().channel.send(inference(1)).has_value());
  world.turn();
  world.turn();
  CHECK(world.events(Kind::kInferenceDone).size() == 1);
  CHECK(World::told<ipc::EventAck>(world.gateway()).sequence == 1);
}

TEST_CASE("supervisor: a gateway's breach is recorded, and another takes its place") {
  World world;
  world.start();
  const int pid = world.gateway().state->pid;
  SUBCASE("ready again") {
    REQUIRE(world.gateway()
                .channel.send(ipc::GatewayReady{"{}", test::promised().bits()})
                .has_value());
  }
  SUBCASE("an event of the supervisor's own") {
    const record::Event forged{.kind = Kind::kServerStopped};
    REQUIRE(world.gateway().channel.send(ipc::ReportEvent::of(1, forged)).has_value());
  }
  SUBCASE("a worker that it was never told of") {
    REQUIRE(world.gateway().channel.send(ipc::WorkerOverdue{"a", 2}).has_value());
  }
  world.turn();
  CHECK(world.gateway().state->kills ==
        std::vector<sandbox::KillReason>{sandbox::KillReason::kShutdown});
  world.gateway().state->die(sandbox::ExitReason::kKilled);
  world.turn();
  const auto died = world.events(Kind::kWorkerDied);
  REQUIRE(died.size() == 1);
  CHECK(died[0].code == ErrorCode::kWorkerProtocol);
  CHECK(field(died[0], Attr::kProcess) == "gateway");
  CHECK(field(died[0], Attr::kPid) == pid);
  CHECK(world.events(Kind::kServerStopped).empty());

  REQUIRE(world.gateways.size() == 2);
  REQUIRE(world.gateway()
              .channel.send(ipc::GatewayReady{"{}", test::promised().bits()})
              .has_value());
  world.turn();
  CHECK(World::told<ipc::ModelUp>(world.gateway()).generation == 1);
  CHECK(world.workers["a"].size() == 1);
  CHECK(world.worker("a").state->kills.empty());
}

TEST_CASE("supervisor: what a gateway reported before it died is recorded") {
  World world;
  world.start();
  for (std::uint64_t i = 1; i <= 200; ++i) {
    REQUIRE(world.gateway().channel.send(inference(i)).has_value());
  }
  world.gateway().channel.close();
  world.gateway().state->die(sandbox::ExitReason::kCrashSignal);
  world.turn();
  CHECK(world.events(Kind::kInferenceDone).size() == 200);
}

TEST_CASE("supervisor: a gateway that does not become ready is killed") {
  World world;
  world.start();
  world.gateway().state->die(sandbox::ExitReason::kCrashSignal);
  world.turn();
  REQUIRE(world.gateways.size() == 2);
  world.clock.time += 10s;
  world.turn();
  CHECK(world.gateway().state->kills ==
        std::vector<sandbox::KillReason>{sandbox::KillReason::kOverdue});
}

TEST_CASE("supervisor: an overdue worker is killed once, and only the one that is meant") {
  World world;
  world.start();
  REQUIRE(world.gateway().channel.send(ipc::WorkerOverdue{"a", 1}).has_value());
  world.turn();
  CHECK(world.worker("a").state->kills ==
        std::vector<sandbox::KillReason>{sandbox::KillReason::kOverdue});
  CHECK(world.worker("b").state->kills.empty());
  world.worker("b").state->die(sandbox::ExitReason::kCrashSignal);
  world.turn();
  World::say_ready(world.worker("b"));
  world.turn();
  REQUIRE(world.gateway().channel.send(ipc::WorkerOverdue{"b", 1}).has_value());  // it was slow
  world.turn();
  CHECK(world.worker("b").state->kills.empty());
  CHECK(world.gateway().state->kills.empty());
}

TEST_CASE("supervisor: a signal drains the gateway, then everything ends") {
  World world;
  world.start();
  const UniqueFd signal(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  std::thread gateway([&] {
    for (;;) {
      const auto received = world.gateway().channel.receive();
      if (!received || received->is<ipc::Drain>()) break;
    }
    CHECK(world.gateway().channel.send(inference(1)).has_value());
    world.gateway().channel.close();
    world.gateway().state->die(sandbox::ExitReason::kExited);
  });
  CHECK(world.supervisor->run(signal.get()).has_value());
  gateway.join();
  CHECK(world.events(Kind::kInferenceDone).size() == 1);
  CHECK(world.events(Kind::kServerStopped).size() == 1);
  CHECK(world.gateways[0].state->destroyed);
  CHECK(world.worker("a").state->destroyed);
}

TEST_CASE("supervisor: draining ends at a second signal, whatever the gateway does") {
  World world;
  world.start();
  const UniqueFd signal(::eventfd(2, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
  // signalfd_siginfo is longer than eight bytes, which an eventfd fills: two signals, two reads.
  CHECK(world.supervisor->run(signal.get()).has_value());
  CHECK(world.events(Kind::kServerStopped).size() == 1);
}
