// SPDX-License-Identifier: Apache-2.0
// The request line: parse -> authenticate, rate -> decode by schema -> validate -> admit -> send ->
// answer. Every request passes here, every end of one is an event, and an answer leaves when its
// event is durable. Input: a parsed HTTP head and the body of an untrusted client; answers of a
// worker that may be compromised.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "answers.h"
#include "auth.h"
#include "base/clock.h"
#include "control_link.h"
#include "http/exchange.h"
#include "models.h"
#include "net.h"
#include "rate.h"
#include "responses.h"
#include "worker_link.h"

namespace mlxguard::gateway {

struct RequestLineOptions {
  std::uint64_t body_bytes_max = 0;
  std::chrono::milliseconds request_timeout{60'000};
  bool answer_after_event_durable = true;
  validate::TextLimits texts;
};

class RequestLine final : public http::Handler {
 public:
  RequestLine(RequestLineOptions options, Authenticator authenticator, RateLimiter rates,
              Models& models, ControlLink& control, const Clock& clock, std::uint64_t id_seed);

  [[nodiscard]] Task<void> handle(http::Exchange& exchange) override;
  [[nodiscard]] Task<void> refuse(http::Exchange& exchange, Error error) override;

 private:
  /// What the event of a request will say. No content, ever.
  struct Journey {
    std::string request_id;
    const http::Client* client = nullptr;
    std::string_view method;
    std::string_view route;
    Protocol protocol = Protocol::kOpenAi;
    std::optional<Identity> identity;
    std::string key_hash;  ///< of credentials that were refused
    Model* model = nullptr;
    SteadyTime started;
    SteadyTime deadline;
    bool probe = false;  ///< a look at whether the server is alive or ready
    bool sent = false;   ///< the worker was asked
    std::int64_t bytes_in = 0;
    std::int64_t items = 0;  ///< texts, or tensors
    std::int64_t tokens = 0;
    std::int64_t run_us = 0;
  };
  struct TextJob {
    validate::EncodingFormat format = validate::EncodingFormat::kFloat;
    std::optional<validate::InferEnvelope>
        envelope;  ///< set when asked over the inference protocol
    std::vector<std::string> texts;
  };
  struct TensorJob {
    validate::InferEnvelope envelope;
    std::vector<validate::Tensor> inputs;
  };
  using Job = std::variant<TextJob, TensorJob>;

  [[nodiscard]] Task<Result<std::string>> walk(http::Exchange& exchange, Journey& journey);
  [[nodiscard]] Journey begin(const http::Exchange& exchange);
  [[nodiscard]] Result<void> check_body_head(const http::RequestHead& head) const;
  [[nodiscard]] Result<std::string> read_only(const Match& match);
  [[nodiscard]] Result<Job> decode(const Match& match, std::string_view body, Journey& journey);
  [[nodiscard]] Result<Job> decode_embeddings(std::string_view body, Journey& journey);
  [[nodiscard]] Result<Work> validate(Job& job, Journey& journey) const;
  [[nodiscard]] Result<std::shared_ptr<WorkerLink>> admit(const Model& model) const;
  [[nodiscard]] Result<std::string> encode(const Job& job, Reply reply, Journey& journey) const;
  [[nodiscard]] Task<Response> end(Journey& journey, const Result<std::string>& outcome);
  [[nodiscard]] std::optional<record::Event> event_of(const Journey& journey,
                                                      const Response& response,
                                                      const Error* error) const;
  [[nodiscard]] std::string next_request_id();

  RequestLineOptions options_;
  Authenticator authenticator_;
  RateLimiter rates_;
  Models& models_;
  ControlLink& control_;
  const Clock& clock_;
  std::uint64_t next_id_;
  std::int64_t unreported_ = 0;  ///< requests shed while no event could be reported
};

}  // namespace mlxguard::gateway
