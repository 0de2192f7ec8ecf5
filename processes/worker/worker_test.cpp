// SPDX-License-Identifier: Apache-2.0
// The real worker process, spoken to as the supervisor and the gateway speak to it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "engine/tiny_bert.h"
#include "ipc/messages.h"
#include "wire/channel.h"
#include "validate/schema.h"

using namespace mlxguard;
using engine::test::FileMap;
using engine::test::sealed_file;

namespace {

constexpr std::chrono::seconds kPatience{60};

std::chrono::steady_clock::time_point soon() {
  return std::chrono::steady_clock::now() + kPatience;
}

ipc::LoadModel announcing(std::uint32_t file_count) {
  ipc::LoadModel load;
  load.name = "tiny";
  load.file_count = file_count;
  return load;
}

/// A worker, started as by hand: no namespaces or cgroup around it, its own lock inside.
class Worker {
 public:
  Worker() {
    auto ends = wire::Channel::socket_pair();
    REQUIRE(ends.has_value());
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) run(ends->second.get());
    control = wire::Channel(std::move(ends->first), ipc::kFromWorker);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }

  template <class M>
  M expect(wire::Channel& channel) {
    auto received = channel.receive(soon());
    REQUIRE(received.has_value());
    auto message = received->as<M>();
    REQUIRE(message.has_value());
    return std::move(message).value();
  }
  template <class M>
  M expect() {
    return expect<M>(control);
  }

  void send_files(const std::vector<artifact::SnapshotFile>& files) {
    REQUIRE(control.send(announcing(static_cast<std::uint32_t>(files.size()))).has_value());
    for (const auto& file : files) send_file(file);
  }
  void send_file(const artifact::SnapshotFile& file) {
    const int fd = file.memory.get();
    const ipc::ModelFiles batch{
        .files = {{file.name, file.size_bytes, std::vector<std::uint8_t>(32, 0)}}};
    REQUIRE(control.send(batch, {&fd, 1}).has_value());
  }
  void send_model(const FileMap& model) {
    std::vector<artifact::SnapshotFile> files;
    for (const auto& [name, bytes] : model) files.push_back(sealed_file(name, bytes));
    send_files(files);
  }
  wire::Channel open_data() {
    auto ends = wire::Channel::socket_pair();
    REQUIRE(ends.has_value());
    const int fd = ends->second.get();
    REQUIRE(control.send(ipc::ServeChannel{}, {&fd, 1}).has_value());
    return wire::Channel(std::move(ends->first), ipc::kDataChannel);
  }
  /// Exit status, or minus the signal.
  int wait() {
    int status = 0;
    REQUIRE(::waitpid(std::exchange(pid_, -1), &status, 0) > 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  wire::Channel control;

 private:
  [[noreturn]] static void run(int control_fd) {
    if (control_fd == 3) {
      ::fcntl(3, F_SETFD, 0);
    } else {
      ::dup2(control_fd, 3);
    }
    std::string program = MLXGUARD_WORKER;
    std::string threads = "OPENBLAS_NUM_THREADS=1";
    char* arguments[] = {program.data(), nullptr};
    char* environment[] = {threads.data(), nullptr};
    ::execve(program.c_str(), arguments, environment);
    std::_Exit(127);
  }
  pid_t pid_ = -1;
};

ipc::EmbedRequest request(std::uint64_t id) {
  return {.id = id, .deadline_ns = soon().time_since_epoch().count(), .texts = {"red", "green"}};
}

}  // namespace

TEST_CASE(
    "worker: locks itself, takes a model, says what it takes, answers, ends with its supervisor") {
  Worker worker;
  const auto locked = worker.expect<ipc::WorkerLocked>();
  CHECK(locked.isolation.find(R"("seccomp":"active")") != std::string::npos);
  CHECK(locked.isolation.find(R"("landlock":"active")") != std::string::npos);
  worker.send_model(engine::test::tiny_bert());
  const auto ready = worker.expect<ipc::WorkerReady>();
  const auto schema = validate::ModelSchema::from_wire(ready.schema);
  REQUIRE(schema.has_value());
  CHECK(schema->kind == validate::ModelKind::kEmbedding);
  CHECK(schema->embedding_dimension == 4);
  CHECK(ready.runtime.find("mlx 0.") == 0);
  auto data = worker.open_data();
  REQUIRE(data.send(request(1)).has_value());
  const auto answer = worker.expect<ipc::EmbedAnswer>(data);
  CHECK(answer.id == 1);
  CHECK(answer.vectors.size() == 8);
  worker.control.close();
  CHECK(worker.wait() == 0);
}

TEST_CASE("worker: tells why a model cannot be loaded, and ends") {
  Worker worker;
  worker.expect<ipc::WorkerLocked>();
  FileMap files = engine::test::tiny_bert();
  files.erase("tokenizer.json");
  worker.send_model(files);
  const auto failed = worker.expect<ipc::WorkerLoadFailed>();
  CHECK(failed.error.code == "model.config");
  CHECK(failed.error.subject == "tokenizer.json");
  CHECK(worker.wait() == 0);
}

TEST_CASE("worker: takes no descriptor whose bytes could still change") {
  Worker worker;
  worker.expect<ipc::WorkerLocked>();
  artifact::SnapshotFile file{"config.json", 2, {}, UniqueFd(::memfd_create("open", MFD_CLOEXEC))};
  REQUIRE(::write(file.memory.get(), "{}", 2) == 2);
  std::vector<artifact::SnapshotFile> files;
  files.push_back(std::move(file));
  worker.send_files(files);
  CHECK(!worker.control.receive(soon()).has_value());
  CHECK(worker.wait() == 1);
}

TEST_CASE("worker: a supervisor that breaks the protocol ends it") {
  const auto ends_after = [](const auto& speak) {
    Worker worker;
    worker.expect<ipc::WorkerLocked>();
    speak(worker);
    return worker.wait();
  };
  const auto announce = [](Worker& worker, std::uint32_t files, std::uint32_t threads) {
    auto load = announcing(files);
    load.threads = threads;
    REQUIRE(worker.control.send(load).has_value());
  };
  const auto send_without_descriptor = [](Worker& worker, std::size_t digest_bytes) {
    const ipc::ModelFiles batch{.files = {{"a", 1, std::vector<std::uint8_t>(digest_bytes, 0)}}};
    REQUIRE(worker.control.send(batch).has_value());
  };
  CHECK(ends_after([](Worker& w) { REQUIRE(w.control.send(ipc::Drain{}).has_value()); }) == 1);
  CHECK(ends_after([&](Worker& w) { announce(w, 0, 0); }) == 1);
  CHECK(ends_after([&](Worker& w) { announce(w, 0, 1'000'000); }) == 1);
  CHECK(ends_after([&](Worker& w) { announce(w, 1'000'000'000, 1); }) == 1);
  CHECK(ends_after([&](Worker& w) {
          announce(w, 1, 1);
          send_without_descriptor(w, 32);
        }) == 1);
  CHECK(ends_after([&](Worker& w) {
          announce(w, 1, 1);
          const auto file = sealed_file("a", "b");
          const int fd = file.memory.get();
          const ipc::ModelFiles batch{.files = {{"a", 1, std::vector<std::uint8_t>(31, 0)}}};
          REQUIRE(w.control.send(batch, {&fd, 1}).has_value());
        }) == 1);
  CHECK(ends_after([&](Worker& w) {
          announce(w, 1, 1);
          REQUIRE(w.control.send(ipc::ModelFiles{}).has_value());
        }) == 1);
  CHECK(ends_after([&](Worker& w) {
          announce(w, 1, 1);
          const auto first = sealed_file("a", "b"), second = sealed_file("c", "d");
          const std::array<int, 2> fds{first.memory.get(), second.memory.get()};
          const ipc::ModelFiles batch{.files = {{"a", 1, std::vector<std::uint8_t>(32, 0)},
                                                {"c", 1, std::vector<std::uint8_t>(32, 0)}}};
          REQUIRE(w.control.send(batch, fds).has_value());
        }) == 1);
}

TEST_CASE("worker: a model without files is told to be of no known kind") {
  Worker worker;
  worker.expect<ipc::WorkerLocked>();
  worker.send_files({});
  CHECK(worker.expect<ipc::WorkerLoadFailed>().error.code == "format.unknown");
}

TEST_CASE("worker: a gateway that talks nonsense is dropped, the next one is served") {
  Worker worker;
  worker.expect<ipc::WorkerLocked>();
  worker.send_model(engine::test::tiny_bert());
  worker.expect<ipc::WorkerReady>();
  auto hostile = worker.open_data();
  REQUIRE(hostile.send(announcing(1)).has_value());
  const auto answer = hostile.receive(soon());
  REQUIRE(!answer.has_value());
  CHECK(answer.error().code == ErrorCode::kWorkerUnavailable);
  auto gone = worker.open_data();
  gone.close();
  auto next = worker.open_data();
  REQUIRE(next.send(request(2)).has_value());
  CHECK(worker.expect<ipc::EmbedAnswer>(next).id == 2);
  auto replacing = worker.open_data();
  REQUIRE(replacing.send(request(3)).has_value());
  CHECK(worker.expect<ipc::EmbedAnswer>(replacing).id == 3);
}

TEST_CASE("worker: large answers and requests pass, errors are answers") {
  Worker worker;
  worker.expect<ipc::WorkerLocked>();
  worker.send_model(engine::test::tiny_bert());
  worker.expect<ipc::WorkerReady>();
  auto data = worker.open_data();
  auto large = request(4);
  large.texts.assign(20'000, "red green blue");
  REQUIRE(data.send(large).has_value());
  CHECK(worker.expect<ipc::EmbedAnswer>(data).vectors.size() == 80'000);
  auto late = request(5);
  late.deadline_ns = 1;
  REQUIRE(data.send(late).has_value());
  CHECK(worker.expect<ipc::RequestFailed>(data).error.code == "deadline.exceeded");
  REQUIRE(data.send(ipc::InferRequest{.id = 6, .deadline_ns = large.deadline_ns, .inputs = {}})
              .has_value());
  CHECK(worker.expect<ipc::RequestFailed>(data).error.code == "request.type");
}
