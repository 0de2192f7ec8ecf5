// SPDX-License-Identifier: Apache-2.0
#include "front/responses.h"

#include <algorithm>
#include <array>

#include "codec/json.h"

namespace mlxguard::front {
namespace {

struct StatusRow {
  ErrorCode code;
  int status;
};

// Every code that a request can end in. What is not here is our fault: 500.
constexpr std::array kStatuses{
    StatusRow{ErrorCode::kJsonSyntax, 400},
    StatusRow{ErrorCode::kJsonDuplicateKey, 400},
    StatusRow{ErrorCode::kJsonDepth, 400},
    StatusRow{ErrorCode::kUtf8, 400},
    StatusRow{ErrorCode::kRequestSyntax, 400},
    StatusRow{ErrorCode::kRequestMissing, 400},
    StatusRow{ErrorCode::kRequestUnknown, 400},
    StatusRow{ErrorCode::kRequestType, 400},
    StatusRow{ErrorCode::kRequestShape, 400},
    StatusRow{ErrorCode::kRequestCount, 400},
    StatusRow{ErrorCode::kRequestRange, 400},
    StatusRow{ErrorCode::kRequestNotFinite, 400},
    StatusRow{ErrorCode::kTextInvalid, 400},
    StatusRow{ErrorCode::kUnauthenticated, 401},
    StatusRow{ErrorCode::kCredentialsInvalid, 401},
    StatusRow{ErrorCode::kModelUnknown, 404},
    StatusRow{ErrorCode::kRouteUnknown, 404},
    StatusRow{ErrorCode::kMethodNotAllowed, 405},
    StatusRow{ErrorCode::kRequestTimeout, 408},
    StatusRow{ErrorCode::kLengthRequired, 411},
    StatusRow{ErrorCode::kRequestTooLarge, 413},
    StatusRow{ErrorCode::kTooLarge, 413},
    StatusRow{ErrorCode::kMediaTypeUnsupported, 415},
    StatusRow{ErrorCode::kRateLimited, 429},
    StatusRow{ErrorCode::kHeadersTooLarge, 431},
    StatusRow{ErrorCode::kClientGone, 499},  // for the log: nobody is there to read it
    StatusRow{ErrorCode::kQueueFull, 503},
    StatusRow{ErrorCode::kConnectionsFull, 503},
    StatusRow{ErrorCode::kMemoryFull, 503},
    StatusRow{ErrorCode::kWorkerUnavailable, 503},
    StatusRow{ErrorCode::kWorkerDied, 503},
    StatusRow{ErrorCode::kLogWrite, 503},
    StatusRow{ErrorCode::kDeadline, 504},
};

std::string_view openai_type_of(int status) {
  if (status == 401) return "authentication_error";
  if (status == 429) return "rate_limit_error";
  if (status >= 500) return "server_error";
  return "invalid_request_error";
}

/// What a client may read. The message of a fault of ours may name what is inside; its meaning does
/// not.
std::string message_for_client(const Error& error, int status) {
  if (status == 500) return std::string(describe(error.code).meaning);
  return error.message.empty() ? std::string(describe(error.code).meaning) : error.message;
}

std::string openai_body(const Error& error, int status) {
  codec::JsonWriter writer;
  writer.begin_object().key("error").begin_object();
  writer.field("message", message_for_client(error, status)).field("type", openai_type_of(status));
  if (error.subject.empty() || status == 500)
    writer.key("param").null();
  else
    writer.field("param", error.subject);
  writer.field("code", name_of(error.code)).end_object().end_object();
  return std::move(writer).take();
}

std::string inference_body(const Error& error, int status) {
  std::string text = message_for_client(error, status);
  if (!error.subject.empty() && status != 500) text = error.subject + ": " + text;
  text.append(" [").append(name_of(error.code)).append("]");
  codec::JsonWriter writer;
  writer.begin_object().field("error", text).end_object();
  return std::move(writer).take();
}

}  // namespace

Error client_error(const call::WorkerError& error) {
  const int status = status_of(error.code());
  const bool allowed = status == 400 || status == 413 || status == 500 || status == 504;
  const ErrorCode code = allowed ? error.code() : ErrorCode::kWorkerProtocol;
  return make_error(code, std::string(describe(code).meaning));
}

int status_of(ErrorCode code) {
  for (const StatusRow& row : kStatuses) {
    if (row.code == code) return row.status;
  }
  return 500;
}

Response error_response(Protocol protocol, const Error& error, std::int64_t retry_after_seconds) {
  Response response;
  response.status = status_of(error.code);
  response.code = error.code;
  response.body = protocol == Protocol::kInference ? inference_body(error, response.status)
                                                   : openai_body(error, response.status);
  if (response.status == 429 || response.status == 503) {
    response.retry_after_seconds = std::max<std::int64_t>(1, retry_after_seconds);
  }
  if (error.code == ErrorCode::kMethodNotAllowed) response.allow = error.expected;
  return response;
}

http::ResponseHead head_of(const Response& response, std::string_view request_id) {
  http::ResponseHead head;
  head.status = response.status;
  head.headers.add("Content-Type", response.content_type);
  head.headers.add("X-Content-Type-Options", "nosniff");
  head.headers.add("Cache-Control", "no-store");
  if (!request_id.empty()) head.headers.add("X-Request-Id", std::string(request_id));
  if (response.code) head.headers.add("X-Mlxguard-Code", std::string(name_of(*response.code)));
  if (response.status == 401) {
    head.headers.add("WWW-Authenticate", "Bearer realm=\"mlxguard\"");
  }
  if (!response.allow.empty()) head.headers.add("Allow", response.allow);
  if (response.retry_after_seconds > 0) {
    head.headers.add("Retry-After", std::to_string(response.retry_after_seconds));
  }
  return head;
}

}  // namespace mlxguard::front
