// SPDX-License-Identifier: Apache-2.0
// What the request line tells the log: never content, and only what happened.
#include "front/request_line.h"

namespace mlxguard::front {

using record::Attr;

namespace {

constexpr std::size_t kEventMessageBytesMax = 512;

record::Kind kind_of(ErrorCode code, bool asked) {
  switch (code) {
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kCredentialsInvalid:
      return record::Kind::kAuthFailed;
    case ErrorCode::kRateLimited:
    case ErrorCode::kQueueFull:
    case ErrorCode::kConnectionsFull:
    case ErrorCode::kMemoryFull:
    case ErrorCode::kLogWrite:
      return record::Kind::kRequestShed;
    default:
      return asked ? record::Kind::kInferenceFailed : record::Kind::kRequestRefused;
  }
}

std::int64_t microseconds_since(SteadyTime from, SteadyTime to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

}  // namespace

Error RequestLine::not_durable() {
  return make_error(ErrorCode::kLogWrite, "the request's event is not durable");
}

Task<bool> RequestLine::durable(std::optional<std::uint64_t> number) {
  if (!number) co_return true;
  co_return co_await parts_.reporter.durable(*number,
                                             parts_.clock.steady() + options_.request_timeout);
}

std::optional<std::uint64_t> RequestLine::report(const record::Event& event) {
  if (!parts_.reporter.can_report()) {
    // Told later in one event: nothing is lost but the single lines.
    ++unreported_;
    return std::nullopt;
  }
  if (unreported_ > 0) {
    record::Event shed = record::event_of(
        record::Kind::kRequestShed,
        make_error(ErrorCode::kLogWrite, "requests were refused while no event could be reported"));
    shed.set(Attr::kCount, std::exchange(unreported_, 0));
    parts_.reporter.report(shed);
  }
  return parts_.reporter.report(event);
}

std::optional<std::uint64_t> RequestLine::report_accepted(const Journey& journey) {
  record::Event event{.kind = record::Kind::kInferenceStarted};
  describe_request(journey, event);
  event.set(Attr::kItems, journey.items);
  return report(event);
}

std::optional<std::uint64_t> RequestLine::report(const Journey& journey, int status,
                                                 std::uint64_t bytes_out,
                                                 const std::optional<Failure>& failure) {
  const auto event = event_of(journey, status, bytes_out, failure);
  return event ? report(*event) : std::nullopt;
}

void RequestLine::report_gone(const http::Exchange& exchange, const Journey& journey) {
  const Failure gone = Failure::of(http::client_gone());
  report(journey, status_of(gone.error.code), exchange.bytes_sent(), gone);
}

void RequestLine::describe_request(const Journey& journey, record::Event& event) const {
  if (journey.model != nullptr) {
    event.model = journey.model->name;
    event.set(Attr::kRootDigest, journey.model->root_digest);
  }
  event.set(Attr::kRequest, journey.request_id);
  // A Unix socket's client is on this machine; the record's form has a place for addresses alone.
  const std::string& address = journey.client->address;
  event.set(Attr::kClientIp, journey.client->unix_peer ? std::string("127.0.0.1") : address);
  event.set(Attr::kClientPort, journey.client->port);
  if (journey.identity) event.set(Attr::kKey, journey.identity->name());
  if (!journey.key_hash.empty()) event.set(Attr::kKeyHash, journey.key_hash);
  if (!journey.method.empty()) event.set(Attr::kMethod, journey.method);
  if (!journey.route.empty()) event.set(Attr::kRoute, journey.route);
  event.set(Attr::kBytesIn, journey.bytes_in);
}

std::optional<record::Event> RequestLine::event_of(const Journey& journey, int status,
                                                   std::uint64_t bytes_out,
                                                   const std::optional<Failure>& failure) const {
  if (journey.probe) return std::nullopt;
  record::Event event{.kind = record::Kind::kInferenceDone};
  if (failure) {
    Error error = failure->error;
    error.message = failure->log_message.substr(0, kEventMessageBytesMax);
    event = record::event_of(kind_of(error.code, journey.asked), error);
  } else if (journey.model == nullptr) {
    return std::nullopt;  // a look at what is served
  }
  describe_request(journey, event);
  event.set(Attr::kStatus, status);
  event.set(Attr::kBytesOut, static_cast<std::int64_t>(bytes_out));
  event.set(Attr::kDurationUs, microseconds_since(journey.started, parts_.clock.steady()));
  if (journey.asked) {
    event.set(Attr::kRunUs, journey.run_us);
    event.set(Attr::kItems, journey.items);
    if (journey.tokens > 0) event.set(Attr::kTokens, journey.tokens);
  }
  return event;
}

}  // namespace mlxguard::front
