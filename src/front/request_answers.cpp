// SPDX-License-Identifier: Apache-2.0
// The request line's way out: from a call to an answer, whole or streamed.
#include "front/request_line.h"

namespace mlxguard::front {

RequestLine::Failure RequestLine::Failure::of(Error error) {
  std::string message = error.message;
  return {std::move(error), std::move(message)};
}

RequestLine::Failure RequestLine::Failure::of(const call::WorkerError& error) {
  return {client_error(error), error.reason_for_log()};
}

Response RequestLine::response_of(const Journey& journey, const Failure& failure) const {
  const std::int64_t wait = journey.model != nullptr ? journey.model->retry_after_seconds : 1;
  return error_response(journey.protocol, failure.error, wait);
}

Task<void> RequestLine::fail(http::Exchange& exchange, const Journey& journey,
                             const Failure& failure) {
  co_await respond(exchange, journey, response_of(journey, failure), failure);
}

std::optional<RequestLine::Failure> RequestLine::ending_of(const call::Call& call,
                                                           const task::Job& job,
                                                           Journey& journey) const {
  const call::Outcome& outcome = call.outcome();
  if (const auto* link = std::get_if<call::LinkError>(&outcome)) return Failure::of(link->error());
  if (const auto* worker = std::get_if<call::WorkerError>(&outcome)) return Failure::of(*worker);
  journey.run_us = std::get<call::Usage>(outcome).run_microseconds;
  journey.tokens = job.tokens();
  return std::nullopt;
}

// ---- whole answers -----------------------------------------------------------------------------

Task<void> RequestLine::answer_whole(http::Exchange& exchange, Journey& journey, call::Call& call,
                                     task::Job& job) {
  std::optional<std::uint64_t> accepted;
  if (options_.answer_after == AnswerAfter::kAccepted) accepted = report_accepted(journey);
  Response response;
  response.content_type = job.content_type();
  std::optional<Failure> failure;
  while (auto part = co_await call.next()) {
    auto text = job.encode_part(part->bytes);
    if (!text) {
      failure = Failure::of(std::move(text).error());
      call.cancel();
      break;
    }
    response.body.append(*text);
  }
  if (!failure) failure = ending_of(call, job, journey);
  if (!failure) {
    auto tail = job.encode_end(std::get<call::Usage>(call.outcome()));
    if (tail) {
      response.body.append(*tail);
    } else {
      failure = Failure::of(std::move(tail).error());
    }
  }
  if (failure) response = response_of(journey, *failure);
  if (!co_await durable(accepted)) {
    failure = Failure::of(not_durable());
    response = response_of(journey, *failure);
  }
  co_await respond(exchange, journey, std::move(response), failure);
}

Task<void> RequestLine::respond(http::Exchange& exchange, const Journey& journey,
                                Response response, const std::optional<Failure>& failure) {
  const std::size_t bytes = exchange.head().method == "HEAD" ? 0 : response.body.size();
  if (exchange.is_gone()) {
    const Failure gone = failure ? *failure : Failure::of(http::client_gone());
    report(journey, status_of(gone.error.code), 0, gone);
    co_return;
  }
  if (options_.answer_after != AnswerAfter::kOutcome) {
    const auto sent =
        co_await exchange.respond(head_of(response, journey.request_id), response.body);
    if (sent) {
      report(journey, response.status, bytes, failure);
    } else {
      report_gone(exchange, journey);
    }
    co_return;
  }
  if (!co_await durable(report(journey, response.status, bytes, failure))) {
    const Failure lost = Failure::of(not_durable());
    response = response_of(journey, lost);
    report(journey, response.status, response.body.size(), lost);
  }
  const auto sent = co_await exchange.respond(head_of(response, journey.request_id), response.body);
  if (!sent) report_gone(exchange, journey);
}

// ---- streamed answers --------------------------------------------------------------------------

Task<void> RequestLine::answer_streamed(http::Exchange& exchange, Journey& journey,
                                        call::Call& call, task::Job& job) {
  // It becomes durable while the model makes the first part.
  const std::optional<std::uint64_t> accepted = report_accepted(journey);
  std::optional<Failure> failure = co_await send_parts(exchange, journey, call, job, accepted);
  if (!failure) failure = ending_of(call, job, journey);
  std::string tail;
  if (!failure) {
    auto end = job.encode_end(std::get<call::Usage>(call.outcome()));
    if (end) {
      tail = *std::move(end);
      if (!exchange.has_begun()) failure = co_await begin_stream(exchange, journey, job, accepted);
    } else {
      failure = Failure::of(std::move(end).error());
    }
  }
  if (failure && !exchange.has_begun()) {
    co_await fail(exchange, journey, *failure);
    co_return;
  }
  if (failure) tail = job.encode_error(response_of(journey, *failure).body);
  co_await end_stream(exchange, journey, std::move(tail), failure);
}

Task<std::optional<RequestLine::Failure>> RequestLine::begin_stream(
    http::Exchange& exchange, const Journey& journey, const task::Job& job,
    std::optional<std::uint64_t> accepted) {
  if (options_.answer_after != AnswerAfter::kNone && !co_await durable(accepted)) {
    co_return Failure::of(not_durable());
  }
  Response response;
  response.content_type = job.content_type();
  if (co_await exchange.begin(head_of(response, journey.request_id))) co_return std::nullopt;
  co_return Failure::of(http::client_gone());
}

Task<std::optional<RequestLine::Failure>> RequestLine::send_parts(
    http::Exchange& exchange, const Journey& journey, call::Call& call, task::Job& job,
    std::optional<std::uint64_t> accepted) {
  while (auto part = co_await call.next()) {
    auto text = job.encode_part(part->bytes);
    if (!text) {
      call.cancel();
      co_return Failure::of(std::move(text).error());
    }
    if (text->empty()) continue;
    if (!exchange.has_begun()) {
      auto failure = co_await begin_stream(exchange, journey, job, accepted);
      if (failure) {
        call.cancel();
        co_return failure;
      }
    }
    if (!co_await exchange.write(*text)) {
      call.cancel();
      co_return Failure::of(http::client_gone());
    }
  }
  co_return std::nullopt;
}

/// The head is out, with status 200; what is left is `tail`, and how it ended. Without a tail a
/// failed answer ends in a way that its client can tell from a whole one.
Task<void> RequestLine::end_stream(http::Exchange& exchange, Journey& journey, std::string tail,
                                   const std::optional<Failure>& failure) {
  constexpr int kStatus = 200;
  const bool is_gone = exchange.is_gone();
  if (is_gone) tail.clear();
  if (is_gone || options_.answer_after == AnswerAfter::kOutcome) {
    const auto number = report(journey, kStatus, exchange.bytes_sent() + tail.size(), failure);
    if (is_gone) co_return;
    if (!co_await durable(number)) {
      report(journey, kStatus, exchange.bytes_sent(), Failure::of(not_durable()));
      co_return;
    }
  }
  bool sent = true;
  if (!tail.empty()) sent = (co_await exchange.write(tail)).has_value();
  if (sent && (!failure || !tail.empty())) sent = (co_await exchange.finish()).has_value();
  if (!sent) {
    report_gone(exchange, journey);
  } else if (options_.answer_after != AnswerAfter::kOutcome) {
    report(journey, kStatus, exchange.bytes_sent(), failure);
  }
}

}  // namespace mlxguard::front
