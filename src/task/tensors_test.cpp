// SPDX-License-Identifier: Apache-2.0
#include "task/tensors.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "codec/json.h"
#include "task/test_messages.h"
#include "task/test_task.h"

using namespace mlxguard;
using namespace mlxguard::task;
using namespace mlxguard::task::test;
using validate::Dtype;

namespace {

validate::ModelSchema schema() {
  validate::ModelSchema schema;
  schema.inputs = {{"x", Dtype::kFp32, {{1, 4}}, 0.0, 100.0}};
  schema.outputs = {{"y", Dtype::kFp32, {{1, 4}}, {}, {}}};
  return schema;
}

TensorOnWire floats(const std::string& name, const std::vector<float>& values) {
  TensorOnWire one{name, "FP32", {static_cast<std::int64_t>(values.size())}, {}};
  one.data.resize(values.size() * sizeof(float));
  std::memcpy(one.data.data(), values.data(), one.data.size());
  return one;
}

/// Doubles its one input.
class Doubler final : public Model {
 public:
  [[nodiscard]] const validate::ModelSchema& schema() const override { return schema_; }
  [[nodiscard]] Result<std::vector<validate::Tensor>> run(
      validate::ValidatedInputs inputs) override {
    ++runs;
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
  int runs = 0;

 private:
  validate::ModelSchema schema_ = ::schema();
};

constexpr std::string_view kBody =
    R"({"id": "7", "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2.5]}]})";

std::unique_ptr<Job> job_of(const Row& row, validate::ModelSchema of = schema()) {
  auto job = row.decode(incoming(row, 0, kBody, served(std::move(of))));
  REQUIRE(job.has_value());
  return *std::move(job);
}

}  // namespace

TEST_CASE("tensors: from the body to the answer") {
  const Row row = tensors_row();
  Doubler model;
  const auto job = job_of(row);
  CHECK(job->items() == 1);
  const auto payload = job->validate();
  REQUIRE(payload.has_value());
  auto run = row.begin(model, *payload);
  REQUIRE(run.has_value());
  const auto step = (*run)->next();
  REQUIRE(step.has_value());
  CHECK(step->last);
  CHECK(job->encode_part(*step->part).value() ==
        R"({"model_name":"m","model_version":"1","id":"7","outputs":[)"
        R"({"name":"y","shape":[2],"datatype":"FP32","data":[2,5]}]})");
  CHECK(job->encode_end({}).value().empty());
  CHECK(job->encode_part(*step->part).error().code == ErrorCode::kWorkerProtocol);
}

TEST_CASE("tensors: the worker checks again what a gateway claims to have checked") {
  const Row row = tensors_row();
  Doubler model;
  const auto code = [&](std::vector<TensorOnWire> tensors) {
    return code_of(row.begin(model, encoded(TensorsOnWire{std::move(tensors)})));
  };
  CHECK(code({floats("x", {1, 2})}).empty());
  CHECK(model.runs == 1);
  CHECK(code({floats("x", {1, 2, 3, 4, 5})}) == "request.shape");
  CHECK(code({floats("x", {101})}) == "request.range");
  CHECK(code({floats("x", {-1})}) == "request.range");
  CHECK(code({floats("x", {NAN})}) == "request.not_finite");
  TensorOnWire short_data = floats("x", {1, 2});
  short_data.data.pop_back();
  CHECK(code({short_data}) == "request.count");
  TensorOnWire negative = floats("x", {1, 2});
  negative.shape = {-2};
  CHECK(code({negative}) == "request.shape");
  TensorOnWire other_type = floats("x", {1, 2});
  other_type.dtype = "INT32";
  CHECK(code({other_type}) == "request.type");
  other_type.dtype = "FP31";
  CHECK(code({other_type}) == "worker.protocol");
  CHECK(code({}) == "request.missing");
  CHECK(code({floats("x", {1}), floats("x", {1})}) == "request.unknown");
  CHECK(code_of(row.begin(model, std::vector<std::uint8_t>{1, 2, 3})) == "worker.protocol");
  CHECK(model.runs == 1);
}

TEST_CASE("tensors: what a worker answers is checked") {
  const Row row = tensors_row();
  const auto code = [&](std::vector<TensorOnWire> tensors) {
    const auto text = job_of(row)->encode_part(encoded(TensorsOnWire{std::move(tensors)}));
    return text ? std::string() : std::string(name_of(text.error().code));
  };
  CHECK(code({floats("y", {1, 2})}).empty());
  CHECK(code({floats("y", {1, NAN})}) == "engine.output_invalid");
  CHECK(code({floats("y", {1, INFINITY})}) == "engine.output_invalid");
  CHECK(code({floats("z", {1})}) == "engine.output_invalid");
  CHECK(code({}) == "engine.output_invalid");
  CHECK(code({floats("y", {1, 2, 3, 4, 5})}) == "engine.output_invalid");
  TensorOnWire short_data = floats("y", {1, 2});
  short_data.data.resize(4);
  CHECK(code({short_data}) == "engine.output_invalid");
  TensorOnWire unknown = floats("y", {1});
  unknown.dtype = "WHAT";
  CHECK(code({unknown}) == "worker.protocol");
  CHECK(job_of(row)->encode_part(std::vector<std::uint8_t>{9}).error().code ==
        ErrorCode::kWorkerProtocol);
  CHECK(job_of(row)->encode_end({}).error().code == ErrorCode::kWorkerProtocol);
}

TEST_CASE("tensors: the client's inputs are checked by the model's schema before they are sent") {
  const Row row = tensors_row();
  validate::ModelSchema narrow = schema();
  narrow.inputs[0].value_max = 2;
  const auto payload = job_of(row, narrow)->validate();
  REQUIRE(!payload.has_value());
  CHECK(payload.error().code == ErrorCode::kRequestRange);
}
