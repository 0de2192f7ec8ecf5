// SPDX-License-Identifier: Apache-2.0
#include "run_line.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "ipc/messages.h"

using namespace mlxguard;

namespace {

using TimePoint = std::chrono::steady_clock::time_point;

/// Steady time that a test sets.
class TestClock final : public Clock {
 public:
  [[nodiscard]] WallTime now() const override { return {}; }
  [[nodiscard]] TimePoint steady() const override { return time; }
  TimePoint time{std::chrono::seconds(100)};
};

/// Doubles its one input; remembers that it ran, and may let time pass while it does.
class Doubler final : public engine::Model {
 public:
  explicit Doubler(TestClock& clock) : clock_(clock) {
    schema_.inputs = {{"x", validate::Dtype::kFp32, {{1, 4}}, 0.0, 100.0}};
  }
  [[nodiscard]] const validate::ModelSchema& schema() const override { return schema_; }
  [[nodiscard]] Result<std::vector<validate::Tensor>> run(
      validate::ValidatedInputs inputs) override {
    ++runs;
    clock_.time += run_time;
    validate::Tensor tensor = std::move(inputs).take().front();
    for (std::size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, &tensor.data[at], sizeof(value));
      value *= 2;
      std::memcpy(&tensor.data[at], &value, sizeof(value));
    }
    tensor.name = "y";
    return std::vector<validate::Tensor>{tensor};
  }
  [[nodiscard]] Result<engine::Embeddings> embed(std::span<const std::string> texts,
                                                 engine::Deadline) override {
    ++runs;
    clock_.time += run_time;
    engine::Embeddings out;
    out.dimension = 1;
    for (const std::string& text : texts) {
      out.vectors.push_back(static_cast<float>(text.size()));
      out.token_counts.push_back(static_cast<std::uint32_t>(text.size()));
      out.truncated.push_back(0);
    }
    return out;
  }
  int runs = 0;
  std::chrono::seconds run_time{0};

 private:
  TestClock& clock_;
  validate::ModelSchema schema_;
};

struct Line {
  TestClock clock;
  Doubler model{clock};

  static wire::Received as_received(const wire::Packet& packet) {
    if (!packet.memory.is_open()) return {packet.type, wire::Payload(packet.bytes), {}};
    auto mapped = wire::Payload::map(packet.memory, packet.memory_size);
    REQUIRE(mapped.has_value());
    return {packet.type, std::move(mapped).value(), {}};
  }
  template <class M>
  Result<wire::Packet> send(const M& message) {
    const auto packet = wire::pack(message);
    REQUIRE(packet.has_value());
    return worker::run_line(model, as_received(*packet), clock);
  }
  template <class Answer, class M>
  Answer answer_to(const M& message) {
    const auto packet = send(message);
    REQUIRE(packet.has_value());
    const wire::Received received = as_received(*packet);
    const auto answer = received.template as<Answer>();
    REQUIRE(answer.has_value());
    return *answer;
  }
  template <class M>
  std::string code_for(const M& message) {
    const auto failed = answer_to<ipc::RequestFailed>(message);
    CHECK(failed.id == message.id);
    return failed.error.code;
  }
  [[nodiscard]] std::int64_t in_seconds(int seconds) const {
    return (clock.time + std::chrono::seconds(seconds)).time_since_epoch().count();
  }
};

ipc::InferRequest request_of(const std::vector<float>& values, std::int64_t deadline) {
  ipc::WireTensor x{"x", "FP32", {static_cast<std::int64_t>(values.size())}, {}};
  x.data.resize(values.size() * sizeof(float));
  std::memcpy(x.data.data(), values.data(), x.data.size());
  return {.id = 7, .deadline_ns = deadline, .inputs = {x}};
}

}  // namespace

TEST_CASE("run line: answers a request with the model's outputs") {
  Line line;
  const auto answer = line.answer_to<ipc::InferAnswer>(request_of({1, 2}, line.in_seconds(1)));
  CHECK(answer.id == 7);
  REQUIRE(answer.outputs.size() == 1);
  CHECK(answer.outputs[0].name == "y");
  float second = 0;
  std::memcpy(&second, &answer.outputs[0].data[4], sizeof(second));
  CHECK(second == 4);
}

TEST_CASE("run line: checks again what a gateway claims to have checked") {
  Line line;
  const auto deadline = line.in_seconds(1);
  CHECK(line.code_for(request_of({1, 2, 3, 4, 5}, deadline)) == "request.shape");
  CHECK(line.code_for(request_of({101}, deadline)) == "request.range");
  CHECK(line.code_for(request_of({-1}, deadline)) == "request.range");
  CHECK(line.code_for(request_of({NAN}, deadline)) == "request.not_finite");
  auto short_data = request_of({1, 2}, deadline);
  short_data.inputs[0].data.pop_back();
  CHECK(line.code_for(short_data) == "request.count");
  auto negative = request_of({1, 2}, deadline);
  negative.inputs[0].shape = {-2};
  CHECK(line.code_for(negative) == "request.shape");
  auto other_type = request_of({1, 2}, deadline);
  other_type.inputs[0].dtype = "INT32";
  CHECK(line.code_for(other_type) == "request.type");
  auto no_type = request_of({1, 2}, deadline);
  no_type.inputs[0].dtype = "FP31";
  CHECK(line.code_for(no_type) == "worker.protocol");
  auto none = request_of({1}, deadline);
  none.inputs.clear();
  CHECK(line.code_for(none) == "request.missing");
  auto twice = request_of({1}, deadline);
  twice.inputs.push_back(twice.inputs[0]);
  CHECK(line.code_for(twice) == "request.unknown");
  CHECK(line.model.runs == 0);
}

TEST_CASE("run line: a request whose deadline has passed does not run") {
  Line line;
  CHECK(line.code_for(request_of({1}, line.in_seconds(0))) == "deadline.exceeded");
  CHECK(line.code_for(request_of({1}, line.in_seconds(-5))) == "deadline.exceeded");
  CHECK(line.code_for(request_of({1}, INT64_MIN)) == "deadline.exceeded");
  CHECK(line.code_for(ipc::EmbedRequest{.id = 7, .deadline_ns = 0, .texts = {"a"}}) ==
        "deadline.exceeded");
  CHECK(line.model.runs == 0);
}

TEST_CASE("run line: an answer that comes after the deadline is not sent") {
  Line line;
  line.model.run_time = std::chrono::seconds(2);
  CHECK(line.code_for(request_of({1}, line.in_seconds(1))) == "deadline.exceeded");
  CHECK(line.code_for(ipc::EmbedRequest{
            .id = 7, .deadline_ns = line.in_seconds(1), .texts = {"a"}}) == "deadline.exceeded");
  CHECK(line.model.runs == 2);
}

TEST_CASE("run line: embeds texts, and checks them again") {
  Line line;
  const auto deadline = line.in_seconds(1);
  const auto answer = line.answer_to<ipc::EmbedAnswer>(
      ipc::EmbedRequest{.id = 9, .deadline_ns = deadline, .texts = {"a", "bcd"}});
  CHECK(answer.id == 9);
  CHECK(answer.dimension == 1);
  CHECK(answer.vectors == std::vector<float>{1, 3});
  CHECK(answer.token_counts == std::vector<std::uint32_t>{1, 3});
  const auto code_for = [&](std::vector<std::string> texts) {
    return line.code_for(
        ipc::EmbedRequest{.id = 9, .deadline_ns = deadline, .texts = std::move(texts)});
  };
  CHECK(code_for({}) == "request.count");
  CHECK(code_for({"a", "\xff"}) == "request.text");
  CHECK(code_for({std::string("nul\0inside", 10)}) == "request.text");
  CHECK(code_for(std::vector<std::string>(100'001, "a")) == "request.too_large");
  CHECK(line.model.runs == 1);
}

TEST_CASE("run line: a message that is no request breaks the protocol") {
  Line line;
  const auto wrong = line.send(ipc::WorkerLocked{});
  REQUIRE(!wrong.has_value());
  CHECK(wrong.error().code == ErrorCode::kWorkerProtocol);
  const auto type = static_cast<wire::MessageNumber>(ipc::InferRequest::kType);
  const auto cut =
      worker::run_line(line.model, {type, wire::Payload({1, 2, 3}), {}}, line.clock);
  REQUIRE(!cut.has_value());
  CHECK(cut.error().code == ErrorCode::kWorkerProtocol);
}
