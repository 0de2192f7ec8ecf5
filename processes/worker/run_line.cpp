// SPDX-License-Identifier: Apache-2.0
#include "run_line.h"

#include "ipc/messages.h"
#include "validate/check.h"
#include "validate/text_rules.h"

namespace mlxguard::worker {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

/// The widest that mlxguard.toml can be set to: the gateway applies what it is set to.
constexpr validate::TextLimits kTextLimits{.texts_max = 100'000, .text_bytes_max = 64u << 20};

TimePoint deadline_of(std::int64_t nanoseconds) {
  return TimePoint(std::chrono::nanoseconds(nanoseconds));
}

std::int64_t microseconds_since(TimePoint start, const Clock& clock) {
  return std::chrono::duration_cast<std::chrono::microseconds>(clock.steady() - start).count();
}

Result<void> in_time(TimePoint deadline, const Clock& clock) {
  if (clock.steady() < deadline) return {};
  return make_error(ErrorCode::kDeadline, "the request's deadline has passed");
}

Result<ipc::InferAnswer> infer(engine::Model& model, ipc::InferRequest request,
                               const Clock& clock) {
  const TimePoint deadline = deadline_of(request.deadline_ns);
  const TimePoint start = clock.steady();
  MLXGUARD_TRY(in_time(deadline, clock));
  std::vector<validate::Tensor> inputs;
  for (ipc::WireTensor& input : request.inputs) {
    MLXGUARD_TRY_ASSIGN(auto tensor, std::move(input).to_tensor());
    inputs.push_back(std::move(tensor));
  }
  MLXGUARD_TRY_ASSIGN(auto validated, validate::check_inputs(model.schema(), std::move(inputs)));
  MLXGUARD_TRY_ASSIGN(auto outputs, model.run(std::move(validated)));  // also checks what it gives
  MLXGUARD_TRY(in_time(deadline, clock));
  ipc::InferAnswer answer{.id = request.id, .run_microseconds = 0, .outputs = {}};
  for (validate::Tensor& output : outputs) {
    answer.outputs.push_back(ipc::WireTensor::of(std::move(output)));
  }
  answer.run_microseconds = microseconds_since(start, clock);
  return answer;
}

Result<ipc::EmbedAnswer> embed(engine::Model& model, ipc::EmbedRequest request,
                               const Clock& clock) {
  const TimePoint deadline = deadline_of(request.deadline_ns);
  const TimePoint start = clock.steady();
  MLXGUARD_TRY(in_time(deadline, clock));
  MLXGUARD_TRY_ASSIGN(const auto texts,
                      validate::check_texts(std::move(request.texts), kTextLimits));
  MLXGUARD_TRY_ASSIGN(auto embeddings, model.embed(texts.texts(), deadline));
  MLXGUARD_TRY(in_time(deadline, clock));
  return ipc::EmbedAnswer{.id = request.id,
                          .run_microseconds = microseconds_since(start, clock),
                          .dimension = static_cast<std::uint32_t>(embeddings.dimension),
                          .vectors = std::move(embeddings.vectors),
                          .token_counts = std::move(embeddings.token_counts)};
}

/// The answer's packet, or one that says why there is none (also when it is too large to send).
template <class Answer>
Result<wire::Packet> answer_packet(std::uint64_t id, const Result<Answer>& answer) {
  auto packet = answer ? wire::pack(*answer) : Result<wire::Packet>(answer.error());
  if (packet) return packet;
  return wire::pack(ipc::RequestFailed{.id = id, .error = ipc::WireError::of(packet.error())});
}

}  // namespace

Result<wire::Packet> run_line(engine::Model& model, const wire::Received& received,
                             const Clock& clock) {
  if (received.is<ipc::InferRequest>()) {
    MLXGUARD_TRY_ASSIGN(auto request, received.as<ipc::InferRequest>());
    const std::uint64_t id = request.id;
    return answer_packet(id, infer(model, std::move(request), clock));
  }
  MLXGUARD_TRY_ASSIGN(auto request, received.as<ipc::EmbedRequest>());
  const std::uint64_t id = request.id;
  return answer_packet(id, embed(model, std::move(request), clock));
}

}  // namespace mlxguard::worker
