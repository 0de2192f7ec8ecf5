// SPDX-License-Identifier: Apache-2.0
// A streaming task for tests: it counts, a number a step, and sends each as a server-sent event. No
// product links it. It is also the proof that such a task is one file and one row.
//   POST /v1/test/counting {"model": "m", "count": 5}
//   data: 1 ... data: 5, data: [DONE]
// "part_bytes" pads each part; "fail_at" makes the worker fail at that number.
#pragma once

#include <array>
#include <charconv>
#include <functional>
#include <optional>
#include <string>

#include "codec/json.h"
#include "task/table.h"
#include "validate/decode_json.h"
#include "wire/encoding.h"

namespace mlxguard::task::test {

struct CountingMessage {
  std::int64_t count = 0;
  std::int64_t part_bytes = 0;
  std::int64_t fail_at = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(count), archive(part_bytes), archive(fail_at);
  }
};

class CountingJob final : public Job {
 public:
  explicit CountingJob(CountingMessage message) : message_(message) {}
  [[nodiscard]] Result<std::vector<std::uint8_t>> validate() override {
    if (message_.count < 1 || message_.count > 1'000'000) {
      return make_error(ErrorCode::kRequestRange, "expected 1 to 1000000").about("count");
    }
    wire::Encoder encoder;
    message_.visit(encoder);
    return std::move(encoder).take();
  }
  [[nodiscard]] Result<std::string> encode_part(Bytes part) override {
    ++parts_;
    return "data: " + std::string(as_text(part)) + "\n\n";
  }
  [[nodiscard]] Result<std::string> encode_end(const call::Usage&) override {
    return std::string("data: [DONE]\n\n");
  }
  [[nodiscard]] std::string encode_error(std::string_view body) override {
    return "data: " + std::string(body) + "\n\n";
  }
  [[nodiscard]] bool is_streamed() const override { return true; }
  [[nodiscard]] std::string_view content_type() const override { return "text/event-stream"; }
  [[nodiscard]] std::uint32_t window() const override { return 4; }
  [[nodiscard]] std::int64_t items() const override { return 1; }
  [[nodiscard]] std::int64_t tokens() const override { return parts_; }

 private:
  CountingMessage message_;
  std::int64_t parts_ = 0;
};

/// What a test sees of the runs in its process, and may do in each step.
struct CountingRuns {
  std::function<void(std::int64_t at)> on_step;
  std::int64_t steps = 0;
  int alive = 0;
};
inline CountingRuns& counting_runs() {
  static CountingRuns runs;
  return runs;
}

class CountingRun final : public call::Run {
 public:
  explicit CountingRun(CountingMessage message) : message_(message) { ++counting_runs().alive; }
  ~CountingRun() override { --counting_runs().alive; }
  [[nodiscard]] Result<call::Step> next() override {
    ++at_;
    ++counting_runs().steps;
    if (counting_runs().on_step) counting_runs().on_step(at_);
    if (at_ == message_.fail_at) return make_error(ErrorCode::kEngineRun, "SECRET at 0x1234");
    std::string text = std::to_string(at_);
    text.resize(std::max(text.size(), static_cast<std::size_t>(message_.part_bytes)), ' ');
    std::vector<std::uint8_t> part(text.begin(), text.end());
    return at_ == message_.count ? call::Step::last_of(std::move(part))
                                 : call::Step::of(std::move(part));
  }
  [[nodiscard]] call::Usage usage() const override {
    return {.tokens_out = static_cast<std::uint64_t>(at_)};
  }

 private:
  CountingMessage message_;
  std::int64_t at_ = 0;
};

inline Result<std::unique_ptr<Job>> decode_counting(const Incoming& incoming) {
  MLXGUARD_TRY_ASSIGN(const auto document, validate::parse_request(incoming.body));
  MLXGUARD_TRY_ASSIGN(const auto model, validate::required(document.root(), "model"));
  MLXGUARD_TRY_ASSIGN(const auto name, validate::string_of(model, "model"));
  MLXGUARD_TRY(incoming.find(name));
  CountingMessage message;
  const auto read = [&](std::string_view member, std::int64_t& number) {
    if (const auto value = document.root().find(member)) {
      number = value->as_int64().value_or(0);
    }
  };
  read("count", message.count);
  read("part_bytes", message.part_bytes);
  read("fail_at", message.fail_at);
  return std::unique_ptr<Job>(std::make_unique<CountingJob>(message));
}

inline Result<std::unique_ptr<call::Run>> begin_counting(Model&, Bytes payload) {
  CountingMessage message;
  wire::Decoder decoder(payload);
  message.visit(decoder);
  MLXGUARD_TRY(decoder.finish());
  return std::unique_ptr<call::Run>(std::make_unique<CountingRun>(message));
}

inline constexpr std::array kCountingRoutes{Route{"/v1/test/counting", Protocol::kOpenAi}};

inline Row counting_row() {
  return {.name = "counting",
          .meaning = "numbers, one a step",
          .kind = validate::ModelKind::kFunction,
          .routes = kCountingRoutes,
          .decode = decode_counting,
          .begin = begin_counting};
}

}  // namespace mlxguard::task::test
