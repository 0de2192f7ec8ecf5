// SPDX-License-Identifier: Apache-2.0
#include "front/request_line.h"

#include <doctest/doctest.h>

#include "call/call_server.h"
#include "codec/json.h"
#include "task/test_counting.h"

using namespace mlxguard;
using namespace mlxguard::front;
using namespace std::chrono_literals;
using async::Task;
using record::Attr;

namespace {

/// A client that does what a test says.
class FakeExchange final : public http::Exchange {
 public:
  FakeExchange(async::Executor executor, std::string method, std::string target, std::string body)
      : body_(std::move(body)), room_(executor, async::SteadyTime::max()) {
    head_.method = std::move(method);
    head_.target = std::move(target);
    head_.has_body = !body_.empty();
    head_.content_length = body_.size();
    head_.headers.add("authorization", "Bearer key");
    head_.headers.add("content-type", "application/json");
    client_.address = "192.0.2.1";
  }
  [[nodiscard]] const http::RequestHead& head() const override { return head_; }
  [[nodiscard]] const http::Client& client() const override { return client_; }
  [[nodiscard]] Task<Result<std::string_view>> read_body() override {
    co_return std::string_view(body_);
  }
  void drop_body() override {}
  [[nodiscard]] Task<Result<void>> respond(http::ResponseHead head,
                                           std::string_view body) override {
    MLXGUARD_CO_TRY(co_await begin(std::move(head)));
    MLXGUARD_CO_TRY(co_await write(body));
    co_return co_await finish({});
  }
  [[nodiscard]] Task<Result<void>> begin(http::ResponseHead head) override {
    if (gone_) co_return http::client_gone();
    begun_ = true;
    status = head.status;
    content_type = head.headers.value_of("Content-Type");
    co_return Result<void>();
  }
  [[nodiscard]] Task<Result<void>> write(std::string_view bytes) override {
    while (slow && !gone_) co_await room_.async_wait(async::kAwait);
    if (gone_) co_return http::client_gone();
    sent.append(bytes);
    co_return Result<void>();
  }
  [[nodiscard]] Task<Result<void>> write_file(int, std::uint64_t, std::uint64_t) override {
    co_return http::client_gone();
  }
  [[nodiscard]] Task<Result<void>> finish(http::Headers) override {
    if (gone_) co_return http::client_gone();
    finished = true;
    co_return Result<void>();
  }
  [[nodiscard]] Task<Result<void>> send_interim() override { co_return Result<void>(); }
  [[nodiscard]] bool has_begun() const override { return begun_; }
  [[nodiscard]] std::uint64_t bytes_sent() const override { return sent.size(); }
  void when_gone(std::function<void()> callback) override {
    callback_ = std::move(callback);
    if (gone_ && callback_) std::exchange(callback_, nullptr)();
  }
  [[nodiscard]] bool is_gone() const override { return gone_; }

  void go() {
    gone_ = true;
    room_.cancel();
    if (callback_) std::exchange(callback_, nullptr)();
  }
  void read_on() {
    slow = false;
    room_.cancel();
  }

  int status = 0;
  std::string content_type;
  std::string sent;
  bool finished = false;
  bool slow = false;
  bool done = false;  ///< the handler has returned

 private:
  http::RequestHead head_;
  http::Client client_;
  std::string body_;
  async::Timer room_;
  std::function<void()> callback_;
  bool begun_ = false;
  bool gone_ = false;
};

/// Remembers events; a test says when they are durable.
class FakeReporter final : public Reporter {
 public:
  explicit FakeReporter(async::Executor executor) : executor_(executor) {}
  [[nodiscard]] bool can_report() const override { return true; }
  std::uint64_t report(const record::Event& event) override {
    CHECK(record::missing_attributes(event).empty());
    events.push_back(event);
    return events.size();
  }
  [[nodiscard]] Task<bool> durable(std::uint64_t number, async::SteadyTime deadline) override {
    async::Timer timer(executor_);
    while (number > durable_up_to) {
      if (std::chrono::steady_clock::now() >= deadline) co_return false;
      timer.expires_after(1ms);
      co_await timer.async_wait(async::kAwait);
    }
    co_return true;
  }
  std::vector<record::Event> events;
  std::uint64_t durable_up_to = 1000;

 private:
  async::Executor executor_;
};

/// An attribute of whole numbers, or -1.
std::int64_t number_of(const record::Event& event, record::TypedAttr<std::int64_t> attr) {
  const auto* value = event.find(attr);
  return value == nullptr ? -1 : *value;
}

class NoModel final : public task::Model {
 public:
  [[nodiscard]] const validate::ModelSchema& schema() const override { return schema_; }

 private:
  validate::ModelSchema schema_;
};

struct House {
  explicit House(AnswerAfter after = AnswerAfter::kOutcome, std::size_t waiting_max = 256) {
    call::CallQueueOptions queue;
    queue.waiting_max = waiting_max;
    models.emplace(std::vector<std::string>{"m"}, io.get_executor(), queue);
    Model& served = models->all().at("m");
    served.root_digest = "sha256:00";
    served.schema = std::make_shared<const validate::ModelSchema>();
    auto [mine, theirs] = wire::Channel::pair(call::kCallBounds, call::kCallBounds).value();
    worker.serve(std::move(theirs));
    served.queue->attach(std::move(mine), [] {});
    RequestLineOptions options;
    options.body_bytes_max = 1000;
    options.request_timeout = 5s;
    options.answer_after = after;
    const auto hash = crypto::sha256(as_bytes("key"));
    auto keys = Authenticator::create({{"tester", {hash.begin(), hash.end()}}},
                                      Anonymous::kRefused, as_bytes("a secret of 16 bytes"));
    line.emplace(options, RequestLineParts{rows, *models, reporter, clock}, std::move(*keys),
                 RateLimiter({}, clock), 1);
    task::test::counting_runs() = {};
  }
  ~House() { io.drop_everything(); }
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  std::shared_ptr<FakeExchange> ask(const std::string& body, bool slow = false) {
    const auto exchange =
        std::make_shared<FakeExchange>(io.get_executor(), "POST", "/v1/test/counting", body);
    exchange->slow = slow;
    async::asio::co_spawn(
        io.get_executor(),
        [this, exchange]() -> Task<void> {
          co_await line->handle(*exchange);
          exchange->done = true;
        },
        async::asio::detached);
    run();
    return exchange;
  }
  /// Runs the gateway's side until it waits.
  void run() {
    for (int i = 0; i < 8; ++i) {
      io.restart();
      io.poll();
    }
  }
  /// One turn of the worker.
  void turn() {
    run();
    worker.exchange();
    worker.step();
    run();
  }
  template <class Condition>
  void run_until(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < limit) {
      io.restart();
      io.run_for(2ms);
      worker.exchange();
    }
    CHECK(condition());
  }
  const record::Event& last_event() {
    REQUIRE(!reporter.events.empty());
    return reporter.events.back();
  }

  async::Io io;
  SystemClock clock;
  std::vector<task::Row> rows{task::test::counting_row()};
  std::optional<Models> models;
  FakeReporter reporter{io.get_executor()};
  NoModel model;
  call::CallServer worker{task::begin_with(rows, model), clock};
  std::optional<RequestLine> line;
};

constexpr const char* kThree = R"({"model": "m", "count": 3})";

}  // namespace

TEST_CASE("request line: tokens leave while the worker still runs") {
  House house;
  const auto client = house.ask(kThree);
  CHECK(client->status == 0);
  house.turn();
  CHECK(client->status == 200);
  CHECK(client->content_type == "text/event-stream");
  CHECK(client->sent == "data: 1\n\n");
  CHECK(task::test::counting_runs().alive == 1);
  house.turn();
  CHECK(client->sent == "data: 1\n\ndata: 2\n\n");
  house.turn();
  CHECK(client->sent == "data: 1\n\ndata: 2\n\ndata: 3\n\ndata: [DONE]\n\n");
  CHECK(client->finished);
  CHECK(client->done);
  REQUIRE(house.reporter.events.size() == 2);
  CHECK(house.reporter.events[0].kind == record::Kind::kInferenceStarted);
  CHECK(house.last_event().kind == record::Kind::kInferenceDone);
  CHECK(number_of(house.last_event(), Attr::kBytesOut) ==
        static_cast<std::int64_t>(client->sent.size()));
  CHECK(number_of(house.last_event(), Attr::kTokens) == 3);
}

TEST_CASE("request line: the first byte waits until the start is durable, the last for the end") {
  House house;
  house.reporter.durable_up_to = 0;
  const auto client = house.ask(kThree);
  house.turn();
  CHECK(client->status == 0);
  house.reporter.durable_up_to = 1;
  house.run_until([&] { return client->status == 200; });
  house.turn();
  house.turn();
  house.run_until([&] { return house.reporter.events.size() == 2; });
  CHECK(client->sent == "data: 1\n\ndata: 2\n\ndata: 3\n\n");
  CHECK(!client->finished);
  house.reporter.durable_up_to = 2;
  house.run_until([&] { return client->finished; });
  CHECK(client->sent.ends_with("data: [DONE]\n\n"));
}

TEST_CASE("request line: accepted waits for the start alone, none for nothing") {
  for (const AnswerAfter after : {AnswerAfter::kAccepted, AnswerAfter::kNone}) {
    House house(after);
    house.reporter.durable_up_to = after == AnswerAfter::kAccepted ? 1 : 0;
    const auto client = house.ask(kThree);
    for (int i = 0; i < 3; ++i) house.turn();
    house.run_until([&] { return client->finished; });
    CHECK(house.last_event().kind == record::Kind::kInferenceDone);
  }
}

TEST_CASE("request line: a client that leaves is cancelled within one step") {
  House house;
  const auto client = house.ask(R"({"model": "m", "count": 1000})");
  house.turn();
  house.turn();
  const auto steps = task::test::counting_runs().steps;
  client->go();
  house.turn();
  CHECK(client->done);
  CHECK(task::test::counting_runs().alive == 0);
  CHECK(task::test::counting_runs().steps == steps);
  CHECK(house.last_event().kind == record::Kind::kInferenceFailed);
  CHECK(house.last_event().code == ErrorCode::kClientGone);
  CHECK(number_of(house.last_event(), Attr::kBytesOut) ==
        static_cast<std::int64_t>(client->sent.size()));
}

TEST_CASE("request line: a client that leaves before its answer got no byte, and the log says so") {
  House house;
  const auto running = house.ask(R"({"model": "m", "count": 1000})");
  running->go();
  house.run();
  CHECK(running->done);
  CHECK(house.last_event().code == ErrorCode::kClientGone);
  CHECK(number_of(house.last_event(), Attr::kBytesOut) == 0);
  house.turn();
  CHECK(task::test::counting_runs().steps == 0);
}

TEST_CASE("request line: a client that does not read stops its own call by credit, and no other") {
  House house;
  const auto slow = house.ask(R"({"model": "m", "count": 1000})", true);
  for (int i = 0; i < 50; ++i) house.turn();
  const auto steps = task::test::counting_runs().steps;
  CHECK(steps <= 6);
  const auto other = house.ask(kThree);
  for (int i = 0; i < 4; ++i) house.turn();
  CHECK(other->finished);
  CHECK(task::test::counting_runs().steps == steps + 3);
  slow->read_on();
  for (int i = 0; i < 50; ++i) house.turn();
  CHECK(task::test::counting_runs().steps > steps + 30);
}

TEST_CASE("request line: a stream that fails says so in its own form, without the worker's words") {
  House house;
  const auto client = house.ask(R"({"model": "m", "count": 9, "fail_at": 3})");
  for (int i = 0; i < 3; ++i) house.turn();
  CHECK(client->status == 200);
  CHECK(client->sent.starts_with("data: 1\n\ndata: 2\n\ndata: {\"error\":"));
  CHECK(client->sent.find("engine.run") != std::string::npos);
  CHECK(client->sent.find("SECRET") == std::string::npos);
  CHECK(client->sent.find("[DONE]") == std::string::npos);
  CHECK(house.last_event().code == ErrorCode::kEngineRun);
  CHECK(house.last_event().message.find("SECRET") != std::string::npos);
}

TEST_CASE("request line: a stream that fails before its first part is an ordinary error") {
  House house;
  const auto client = house.ask(R"({"model": "m", "count": 9, "fail_at": 1})");
  house.turn();
  CHECK(client->status == 500);
  CHECK(client->content_type == "application/json");
  CHECK(client->sent.find("SECRET") == std::string::npos);
  CHECK(number_of(house.last_event(), Attr::kStatus) == 500);
}

TEST_CASE("request line: a worker that dies in the middle of a stream ends it") {
  House house;
  const auto client = house.ask(R"({"model": "m", "count": 1000})");
  house.turn();
  house.models->all().at("m").queue->detach(make_error(ErrorCode::kWorkerMemory, ""), 1s);
  house.run();
  CHECK(client->done);
  CHECK(client->sent.find("worker.died") != std::string::npos);
  CHECK(house.last_event().code == ErrorCode::kWorkerDied);
}

TEST_CASE("request line: what is not sent to a model is refused with its status in the event") {
  House house;
  const auto bad = house.ask(R"({"model": "m", "count": 0})");
  CHECK(bad->status == 400);
  CHECK(house.last_event().kind == record::Kind::kRequestRefused);
  CHECK(number_of(house.last_event(), Attr::kStatus) == 400);
  const auto unknown = house.ask(R"({"model": "x", "count": 3})");
  CHECK(unknown->status == 404);
  house.models->all().at("m").queue->detach(make_error(ErrorCode::kWorkerMemory, ""), 1s);
  const auto down = house.ask(kThree);
  CHECK(down->status == 503);
  CHECK(number_of(house.last_event(), Attr::kStatus) == 503);
  CHECK(task::test::counting_runs().steps == 0);
}
