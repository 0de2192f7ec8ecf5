// SPDX-License-Identifier: Apache-2.0
// What a worker may say on its control channel, and how each breach is met.
#include "launch/worker_process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/process_bounds.h"
#include "launch/fake_process.h"

using namespace mlxguard;
using namespace mlxguard::launch;
using namespace std::chrono_literals;

namespace {

constexpr int kEverySeal = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

std::shared_ptr<const signature::VerifiedModel> model_of(int file_count) {
  std::vector<artifact::SnapshotFile> files;
  for (int i = 0; i < file_count; ++i) {
    UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    REQUIRE(::write(fd.get(), "data", 4) == 4);
    REQUIRE(::fcntl(fd.get(), F_ADD_SEALS, kEverySeal) == 0);
    files.push_back({"file" + std::to_string(i), 4, {}, std::move(fd)});
  }
  auto model = signature::VerifiedModel::receive("mlp", std::string(64, '0'), std::move(files));
  REQUIRE(model.has_value());
  return std::make_shared<const signature::VerifiedModel>(*std::move(model));
}

struct Link {
  explicit Link(int file_count = 1) {
    auto ends = wire::Channel::socket_pair();
    REQUIRE(ends.has_value());
    worker = wire::Channel(std::move(ends->second), ipc::kFromSupervisor);
    process.emplace(model_of(file_count), std::make_unique<test::FakeProcess>(state),
                    std::move(ends->first), 2, test::promised());
  }
  template <class M>
  void say(const M& message) {
    REQUIRE(worker.send(message).has_value());
  }
  void lock() {
    say(ipc::WorkerLocked{"{}", test::promised().bits()});
    REQUIRE(process->advance().has_value());
  }
  void load() {
    lock();
    say(ipc::WorkerReady{"schema", "mlx", 5});
    REQUIRE(process->advance().has_value());
    CHECK(process->stage() == Stage::kReady);
  }
  [[nodiscard]] ErrorCode breach() {
    const auto advanced = process->advance();
    return advanced ? ErrorCode::kInternal : advanced.error().code;
  }

  std::shared_ptr<test::FakeProcessState> state = std::make_shared<test::FakeProcessState>();
  wire::Channel worker;
  std::optional<WorkerProcess> process;
};

}  // namespace

TEST_CASE("worker process: locked, then it is sent the model, then it is ready") {
  Link link(40);
  link.lock();
  CHECK(link.process->stage() == Stage::kLoading);
  const auto head = link.worker.receive();
  REQUIRE(head.has_value());
  CHECK(head->as<ipc::LoadModel>()->file_count == 40);
  CHECK(link.worker.receive()->descriptors.size() == 32);
  CHECK(link.worker.receive()->descriptors.size() == 8);
  link.say(ipc::WorkerReady{"schema", "mlx", 5});
  REQUIRE(link.process->advance().has_value());
  CHECK(link.process->stage() == Stage::kReady);
  CHECK(link.process->schema() == "schema");
  CHECK(link.process->load_time() == 5us);
  CHECK(link.process->wait_until_ready(std::chrono::steady_clock::now() + 1s).has_value());
}

TEST_CASE("worker process: one that is locked less than this machine allows is refused") {
  Link link;
  link.say(ipc::WorkerLocked{"{}", 0});
  CHECK(link.breach() == ErrorCode::kSandboxLevel);
}

TEST_CASE("worker process: messages out of turn are breaches") {
  SUBCASE("ready before it is locked") {
    Link link;
    link.say(ipc::WorkerReady{});
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
  SUBCASE("locked twice") {
    Link link;
    link.lock();
    link.say(ipc::WorkerLocked{"{}", test::promised().bits()});
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
  SUBCASE("ready twice") {
    Link link;
    link.load();
    link.say(ipc::WorkerReady{});
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
  SUBCASE("a failure after it was ready") {
    Link link;
    link.load();
    link.say(ipc::WorkerLoadFailed{});
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
  SUBCASE("what only a gateway says") {
    Link link;
    link.load();
    link.say(ipc::ReportEvent{});
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
}

TEST_CASE("worker process: texts and messages that are too large are breaches") {
  SUBCASE("an isolation report") {
    Link link;
    link.say(ipc::WorkerLocked{std::string(limits::kWorkerTextBytesMax + 1, 'x'), ~0u});
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
  SUBCASE("a runtime with a control character") {
    Link link;
    link.lock();
    link.say(ipc::WorkerReady{"schema", "mlx\x1b[2J", 5});
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
  SUBCASE("a schema") {
    Link link;
    link.lock();
    link.say(ipc::WorkerReady{std::string(limits::kWorkerControlBytesMax, 'x'), "mlx", 5});
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
    CHECK(link.process->schema().empty());
  }
  SUBCASE("a descriptor") {
    Link link;
    const std::array<int, 1> descriptors{link.worker.fd()};
    REQUIRE(link.worker.send(ipc::WorkerLocked{"{}", ~0u}, descriptors).has_value());
    CHECK(link.breach() == ErrorCode::kWorkerProtocol);
  }
}

TEST_CASE("worker process: a failure's texts are made short and visible") {
  Link link;
  link.lock();
  ipc::WorkerLoadFailed failed;
  failed.error.code = "engine.load";
  failed.error.message = "\x1b[2J" + std::string(100'000, 'x');
  link.say(failed);
  REQUIRE(link.process->advance().has_value());
  CHECK(link.process->stage() == Stage::kFailed);
  CHECK(link.process->failure()->message.starts_with("\\x1b[2Jxxx"));
  CHECK(link.process->failure()->message.size() < 1000);
}

TEST_CASE("worker process: one that does not read its messages holds nobody up") {
  Link link;
  link.load();
  Result<void> sent;
  for (int i = 0; i < 100'000 && sent; ++i) {
    const auto channel = link.process->open_data_channel();
    if (!channel) sent = channel.error();
    if (link.process->wants_to_send()) break;
  }
  CHECK(sent.has_value());
  CHECK(link.process->wants_to_send());
}

TEST_CASE("worker process: its end while it loads says what of") {
  Link link;
  link.lock();
  link.worker.close();
  link.state->die(sandbox::ExitReason::kMemory);
  const auto waited =
      link.process->wait_until_ready(std::chrono::steady_clock::now() + 10s);
  REQUIRE_FALSE(waited.has_value());
  CHECK(waited.error().code == ErrorCode::kWorkerStart);
  CHECK(waited.error().message.find("memory") != std::string::npos);
}

TEST_CASE("worker process: one that says nothing is given up at the deadline") {
  Link link;
  const auto waited = link.process->wait_until_ready(std::chrono::steady_clock::now() + 10ms);
  REQUIRE_FALSE(waited.has_value());
  CHECK(waited.error().code == ErrorCode::kDeadline);
}
