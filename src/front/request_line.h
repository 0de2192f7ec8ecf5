// SPDX-License-Identifier: Apache-2.0
// The request line: authenticate, rate -> decode by schema -> validate -> queue -> answer. Every
// request passes here, and every end of one is an event that says what happened. Knows no sockets.
// Input: a parsed HTTP head and the body of an untrusted client; answers of a worker that may be
// compromised.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "front/auth.h"
#include "front/models.h"
#include "front/rate.h"
#include "front/reporter.h"
#include "front/responses.h"
#include "front/routes.h"
#include "http/exchange.h"

namespace mlxguard::front {

using async::SteadyTime;
using async::Task;

struct RequestLineOptions {
  std::uint64_t body_bytes_max = 0;
  std::chrono::milliseconds request_timeout{60'000};
  AnswerAfter answer_after = AnswerAfter::kOutcome;
  validate::TextLimits texts;
};

/// What a line is made of; all of it outlives the line.
struct RequestLineParts {
  std::span<const task::Row> rows;
  Models& models;
  Reporter& reporter;
  const Clock& clock;
};

class RequestLine final : public http::Handler {
 public:
  RequestLine(RequestLineOptions options, RequestLineParts parts, Authenticator authenticator,
              RateLimiter rates, std::uint64_t id_seed);

  [[nodiscard]] Task<void> handle(http::Exchange& exchange) override;
  [[nodiscard]] Task<void> refuse(http::Exchange& exchange, Error error) override;

 private:
  /// What the event of a request will say. No content, ever.
  struct Journey {
    RateLimiter::Admission admission;  ///< counts the request among those of its key
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
    bool asked = false;  ///< the model's queue was asked
    std::int64_t bytes_in = 0;
    std::int64_t items = 0;  ///< texts, or tensors
    std::int64_t tokens = 0;
    std::int64_t run_us = 0;
  };
  /// Why there is no answer: what the client may know, and what the log says beside it.
  struct Failure {
    Error error;
    std::string log_message;
    [[nodiscard]] static Failure of(Error error);
    [[nodiscard]] static Failure of(const call::WorkerError& error);
  };
  /// A request that may be asked: its row, its job, and what the worker gets.
  struct Prepared {
    std::optional<std::string> body;  ///< an answer that needs no model
    const task::Row* row = nullptr;
    std::unique_ptr<task::Job> job;
    std::vector<std::uint8_t> payload;
  };

  [[nodiscard]] Journey begin(const http::Exchange& exchange);
  [[nodiscard]] Task<Result<Prepared>> prepare(http::Exchange& exchange, Journey& journey);
  [[nodiscard]] Result<void> check_body_head(const http::RequestHead& head) const;
  [[nodiscard]] Result<std::string> read_only(const Match& match);
  [[nodiscard]] Result<Prepared> decode(const Match& match, std::string_view body,
                                        Journey& journey);
  [[nodiscard]] Result<task::Served> find_model(std::string_view name, Journey& journey);
  [[nodiscard]] std::shared_ptr<call::Call> ask(Prepared& prepared, Journey& journey);

  [[nodiscard]] Task<void> answer_whole(http::Exchange& exchange, Journey& journey,
                                        call::Call& call, task::Job& job);
  [[nodiscard]] Task<void> answer_streamed(http::Exchange& exchange, Journey& journey,
                                           call::Call& call, task::Job& job);
  /// Sends parts as they come; the failure that ended them, if one did.
  [[nodiscard]] Task<std::optional<Failure>> send_parts(http::Exchange& exchange,
                                                        const Journey& journey, call::Call& call,
                                                        task::Job& job,
                                                        std::optional<std::uint64_t> accepted);
  /// Sends the head, when it may leave.
  [[nodiscard]] Task<std::optional<Failure>> begin_stream(http::Exchange& exchange,
                                                          const Journey& journey,
                                                          const task::Job& job,
                                                          std::optional<std::uint64_t> accepted);
  [[nodiscard]] Task<void> end_stream(http::Exchange& exchange, Journey& journey, std::string tail,
                                      const std::optional<Failure>& failure);
  /// Reports how the request ended, and sends `response` when its event may leave it.
  [[nodiscard]] Task<void> respond(http::Exchange& exchange, const Journey& journey,
                                   Response response, const std::optional<Failure>& failure);
  [[nodiscard]] Task<void> fail(http::Exchange& exchange, const Journey& journey,
                                const Failure& failure);
  [[nodiscard]] Response response_of(const Journey& journey, const Failure& failure) const;

  /// How a call ended, noted in the journey.
  [[nodiscard]] std::optional<Failure> ending_of(const call::Call& call, const task::Job& job,
                                                 Journey& journey) const;
  /// The event's number; nothing if there is none to wait for.
  std::optional<std::uint64_t> report(const Journey& journey, int status, std::uint64_t bytes_out,
                                      const std::optional<Failure>& failure);
  std::optional<std::uint64_t> report(const record::Event& event);
  std::optional<std::uint64_t> report_accepted(const Journey& journey);
  /// The client left while its answer was sent: the outcome that was reported before is corrected.
  void report_gone(const http::Exchange& exchange, const Journey& journey);
  [[nodiscard]] std::optional<record::Event> event_of(const Journey& journey, int status,
                                                      std::uint64_t bytes_out,
                                                      const std::optional<Failure>& failure) const;
  void describe_request(const Journey& journey, record::Event& event) const;
  [[nodiscard]] Task<bool> durable(std::optional<std::uint64_t> number);
  [[nodiscard]] std::string next_request_id();
  [[nodiscard]] static Error not_durable();

  RequestLineOptions options_;
  RequestLineParts parts_;
  Router router_;
  Authenticator authenticator_;
  RateLimiter rates_;
  std::uint64_t next_id_;
  std::int64_t unreported_ = 0;  ///< requests shed while no event could be reported
};

}  // namespace mlxguard::front
