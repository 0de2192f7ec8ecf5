// SPDX-License-Identifier: Apache-2.0
// The real worker process, spoken to as the supervisor and the gateway speak to it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>

#include "call/messages.h"
#include "engine/tiny_bert.h"
#include "ipc/messages.h"
#include "task/embeddings.h"
#include "validate/schema.h"
#include "wire/channel.h"

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
    return wire::Channel(std::move(ends->first), call::kCallBounds);
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

validate::ModelSchema tiny_schema() {
  validate::ModelSchema schema;
  schema.kind = validate::ModelKind::kEmbedding;
  schema.embedding_dimension = 4;
  return schema;
}

/// One call as a gateway would make it.
struct Asked {
  std::unique_ptr<task::Job> job;
  call::Open open;
  std::vector<std::uint8_t> payload;

  void send(wire::Channel& data) const {
    REQUIRE(data.send(*wire::pack_with_body(open, payload)).has_value());
  }
};

Asked request(std::uint64_t id, const std::string& input = R"(["red", "green"])") {
  static const task::Row row = task::embeddings_row();
  const std::string body = R"({"input": )" + input + "}";
  task::Incoming incoming;
  incoming.body = body;
  incoming.route = &row.routes[0];
  incoming.model = {"tiny", std::make_shared<const validate::ModelSchema>(tiny_schema())};
  incoming.texts = {.texts_max = 100'000, .text_bytes_max = 1000};
  Asked asked;
  asked.job = row.decode(incoming).value();
  asked.payload = asked.job->validate().value();
  asked.open.id = id;
  asked.open.deadline_ns = soon().time_since_epoch().count();
  asked.open.task = row.name;
  return asked;
}

std::string many(std::size_t count) {
  std::string list = R"(["red green blue")";
  for (std::size_t i = 1; i < count; ++i) list += R"(,"red green blue")";
  return list + "]";
}

call::End expect_end(wire::Channel& data, task::Job* job = nullptr) {
  auto received = data.receive(soon());
  REQUIRE(received.has_value());
  auto read = received->with_body<call::End>();
  REQUIRE(read.has_value());
  if (job != nullptr) {
    REQUIRE(read->first.has_part);
    CHECK(job->encode_part(read->second).has_value());
  }
  return std::move(read->first);
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
  const Asked asked = request(1);
  asked.send(data);
  const auto end = expect_end(data, asked.job.get());
  CHECK(end.id == 1);
  CHECK(end.usage.tokens_in == 6);
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
  request(2).send(next);
  CHECK(expect_end(next).id == 2);
  // Several are served at once.
  auto other = worker.open_data();
  request(3).send(other);
  CHECK(expect_end(other).id == 3);
  request(4).send(next);
  CHECK(expect_end(next).id == 4);
}

TEST_CASE("worker: a gateway that speaks the protocol as badly as it can harms only itself") {
  Worker worker;
  worker.expect<ipc::WorkerLocked>();
  worker.send_model(engine::test::tiny_bert());
  worker.expect<ipc::WorkerReady>();
  auto honest = worker.open_data();
  const std::function<void(wire::Channel&)> attacks[] = {
      // More calls than may be open.
      [](wire::Channel& data) {
        Asked asked = request(1);
        for (; asked.open.id <= call::kCallsMax + 1; ++asked.open.id) {
          asked.open.credit = 0;
          if (!data.send(*wire::pack_with_body(asked.open, asked.payload))) return;
        }
      },
      // Opens and cancels without end, and never reads.
      [](wire::Channel& data) {
        call::Open open;
        open.deadline_ns = soon().time_since_epoch().count();
        open.id = 1;
        while (data.send(open) && data.send(call::Cancel{open.id})) ++open.id;
      },
      [](wire::Channel& data) { (void)data.send(call::Credit{9, 1}); },
      [](wire::Channel& data) {
        Asked asked = request(1);
        asked.open.credit = UINT32_MAX;
        (void)data.send(*wire::pack_with_body(asked.open, asked.payload));
      },
      [](wire::Channel& data) { (void)data.send(call::End{.id = 1}); },
      // A descriptor, which no call has.
      [](wire::Channel& data) {
        const int fd = data.fd();
        (void)data.send(call::Cancel{1}, {&fd, 1});
      },
  };
  std::uint64_t id = 0;
  for (const auto& attack : attacks) {
    auto hostile = worker.open_data();
    attack(hostile);
    for (;;) {
      const auto received = hostile.receive(soon());
      if (received) continue;
      CHECK(received.error().code == ErrorCode::kWorkerUnavailable);
      break;
    }
    request(++id).send(honest);
    CHECK(expect_end(honest).id == id);
  }
}

TEST_CASE("worker: large answers and requests pass, errors are answers") {
  Worker worker;
  worker.expect<ipc::WorkerLocked>();
  worker.send_model(engine::test::tiny_bert());
  worker.expect<ipc::WorkerReady>();
  auto data = worker.open_data();
  const Asked large = request(4, many(20'000));
  large.send(data);
  CHECK(expect_end(data, large.job.get()).id == 4);
  Asked late = request(5);
  late.open.deadline_ns = 1;
  late.send(data);
  CHECK(expect_end(data).code == "deadline.exceeded");
  Asked other = request(6);
  other.open.task = "tensors";
  other.send(data);
  CHECK(expect_end(data).code == "request.type");
}

TEST_CASE("worker: hears of a cancel between two batches, and others are answered meanwhile") {
  Worker worker;
  worker.expect<ipc::WorkerLocked>();
  worker.send_model(engine::test::tiny_bert());
  worker.expect<ipc::WorkerReady>();
  auto data = worker.open_data();
  // Each would take the worker many batches; the small one overtakes them.
  request(1, many(100'000)).send(data);
  request(2, many(100'000)).send(data);
  request(3).send(data);
  CHECK(expect_end(data).id == 3);
  REQUIRE(data.send(call::Cancel{1}).has_value());
  REQUIRE(data.send(call::Cancel{2}).has_value());
  for (int i = 0; i < 2; ++i) CHECK(expect_end(data).code == "client.gone");
}
