// SPDX-License-Identifier: Apache-2.0
#include "responses.h"

#include <algorithm>
#include <array>

#include "codec/json.h"

namespace mlxguard::gateway {
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
    StatusRow{ErrorCode::kQueueFull, 503},
    StatusRow{ErrorCode::kConnectionsFull, 503},
    StatusRow{ErrorCode::kMemoryFull, 503},
    StatusRow{ErrorCode::kWorkerUnavailable, 503},
    StatusRow{ErrorCode::kWorkerDied, 503},
    StatusRow{ErrorCode::kLogWrite, 503},
    StatusRow{ErrorCode::kDeadline, 504},
};

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Internal Server Error";
  }
}

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

std::string head_of(const Response& response, std::string_view request_id, Connection connection) {
  std::string head;
  head.reserve(320);
  head.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  head.append(reason_of(response.status)).append("\r\nContent-Type: application/json\r\n");
  head.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
  head.append("X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
  if (!request_id.empty()) head.append("X-Request-Id: ").append(request_id).append("\r\n");
  if (response.code)
    head.append("X-Mlxguard-Code: ").append(name_of(*response.code)).append("\r\n");
  if (response.status == 401) head.append("WWW-Authenticate: Bearer realm=\"mlxguard\"\r\n");
  if (!response.allow.empty()) head.append("Allow: ").append(response.allow).append("\r\n");
  if (response.retry_after_seconds > 0) {
    head.append("Retry-After: ")
        .append(std::to_string(response.retry_after_seconds))
        .append("\r\n");
  }
  head.append(connection == Connection::kClose ? "Connection: close\r\n\r\n"
                                               : "Connection: keep-alive\r\n\r\n");
  return head;
}

}  // namespace mlxguard::gateway
