// SPDX-License-Identifier: Apache-2.0
#include "task/tensors.h"

#include <array>
#include <optional>

#include "codec/json.h"
#include "task/infer_answer.h"
#include "validate/check.h"
#include "validate/decode_infer.h"
#include "validate/encode_tensor.h"
#include "wire/encoding.h"

namespace mlxguard::task {
namespace {

constexpr std::array kRoutes{
    Route{"/v2/models/{model}/infer", Protocol::kInference},
    Route{"/v2/models/{model}/versions/1/infer", Protocol::kInference},
};

// ---- between gateway and worker ----------------------------------------------------------------

struct TensorMessage {
  std::string name;
  std::string dtype;  ///< Open Inference Protocol name
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> data;
  template <class Archive>
  void visit(Archive& archive) {
    archive(name), archive(dtype), archive(shape), archive(data);
  }
};

struct TensorsMessage {
  std::vector<TensorMessage> tensors;
  template <class Archive>
  void visit(Archive& archive) {
    archive(tensors);
  }
};

std::vector<std::uint8_t> encode(std::vector<validate::Tensor> tensors) {
  TensorsMessage message;
  for (validate::Tensor& tensor : tensors) {
    message.tensors.push_back({std::move(tensor.name), std::string(name_of(tensor.dtype)),
                               std::move(tensor.shape), std::move(tensor.data)});
  }
  wire::Encoder encoder;
  message.visit(encoder);
  return std::move(encoder).take();
}

/// kWorkerProtocol for a malformed message or an unknown type; shapes, sizes and values are for
/// validate/check.h.
Result<std::vector<validate::Tensor>> decode_tensors(Bytes bytes) {
  TensorsMessage message;
  wire::Decoder decoder(bytes);
  message.visit(decoder);
  MLXGUARD_TRY(decoder.finish());
  std::vector<validate::Tensor> tensors;
  for (TensorMessage& tensor : message.tensors) {
    const auto dtype = validate::find_dtype(tensor.dtype);
    if (!dtype) return make_error(ErrorCode::kWorkerProtocol, "a tensor of an unknown type");
    tensors.push_back(
        {std::move(tensor.name), *dtype, std::move(tensor.shape), std::move(tensor.data)});
  }
  return tensors;
}

// ---- the asker's side --------------------------------------------------------------------------

class TensorsJob final : public Job {
 public:
  TensorsJob(Served model, validate::InferRequest request)
      : model_(std::move(model)), request_(std::move(request)), count_(request_.inputs.size()) {}

  [[nodiscard]] Result<std::vector<std::uint8_t>> validate() override {
    MLXGUARD_TRY_ASSIGN(auto inputs,
                        validate::check_inputs(*model_.schema, std::move(request_.inputs)));
    return encode(std::move(inputs).take());
  }

  [[nodiscard]] Result<std::string> encode_part(Bytes part) override {
    if (done_) return make_error(ErrorCode::kWorkerProtocol, "an answer of more than one part");
    MLXGUARD_TRY_ASSIGN(const auto outputs, decode_tensors(part));
    MLXGUARD_TRY(validate::check_outputs(*model_.schema, outputs));
    done_ = true;
    codec::JsonWriter writer;
    begin_infer_answer(writer, model_.name, request_.envelope);
    for (const std::size_t at : request_.envelope.outputs) {
      validate::write_tensor(writer, outputs[at]);
    }
    end_infer_answer(writer);
    return std::move(writer).take();
  }

  [[nodiscard]] Result<std::string> encode_end(const call::Usage&) override {
    if (done_) return std::string();
    return make_error(ErrorCode::kWorkerProtocol, "an answer without its tensors");
  }

  [[nodiscard]] std::int64_t items() const override { return static_cast<std::int64_t>(count_); }

 private:
  Served model_;
  validate::InferRequest request_;
  std::size_t count_;
  bool done_ = false;
};

Result<std::unique_ptr<Job>> decode(const Incoming& incoming) {
  MLXGUARD_TRY_ASSIGN(auto request,
                      validate::decode_infer_request(incoming.body, *incoming.model.schema));
  return std::unique_ptr<Job>(std::make_unique<TensorsJob>(incoming.model, std::move(request)));
}

// ---- the worker's side -------------------------------------------------------------------------

class TensorsRun final : public call::Run {
 public:
  TensorsRun(Model& model, validate::ValidatedInputs inputs)
      : model_(model), inputs_(std::move(inputs)) {}

  [[nodiscard]] Result<call::Step> next() override {
    // It also checks what it gives.
    MLXGUARD_TRY_ASSIGN(auto outputs, model_.run(std::move(*inputs_)));
    return call::Step::last_of(encode(std::move(outputs)));
  }

 private:
  Model& model_;
  std::optional<validate::ValidatedInputs> inputs_;
};

Result<std::unique_ptr<call::Run>> begin(Model& model, Bytes payload) {
  MLXGUARD_TRY_ASSIGN(auto tensors, decode_tensors(payload));
  MLXGUARD_TRY_ASSIGN(auto inputs, validate::check_inputs(model.schema(), std::move(tensors)));
  return std::unique_ptr<call::Run>(std::make_unique<TensorsRun>(model, std::move(inputs)));
}

}  // namespace

Row tensors_row() {
  return {.name = "tensors",
          .meaning = "named tensors to named tensors",
          .kind = validate::ModelKind::kFunction,
          .routes = kRoutes,
          .decode = decode,
          .begin = begin};
}

}  // namespace mlxguard::task
