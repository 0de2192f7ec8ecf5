// SPDX-License-Identifier: Apache-2.0
// What goes back to a client: the status of each error code, error bodies in each protocol's form,
// and the head of a response. No header or error ever holds a byte that the client sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "call/outcome.h"
#include "front/routes.h"
#include "http/message.h"

namespace mlxguard::front {

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::optional<ErrorCode> code;         ///< why, if it is an error
  std::int64_t retry_after_seconds = 0;  ///< 0: no header
  std::string allow;                     ///< of a 405
};

/// What a client may know of a worker's failure: a code of a request or of the model, with the
/// table's own words. A compromised worker cannot make us say "wrong key", and what it says in
/// words is not even looked at.
[[nodiscard]] Error client_error(const call::WorkerError& error);

/// The HTTP status of an error, whichever station it comes from.
[[nodiscard]] int status_of(ErrorCode code);

/// An error in the protocol's form, with its stable code:
///   OpenAI      {"error": {"message", "type", "param", "code"}}
///   inference   {"error": "message [code]"}
/// 429 and 503 say when to come back: `retry_after_seconds`, at least 1.
[[nodiscard]] Response error_response(Protocol protocol, const Error& error,
                                      std::int64_t retry_after_seconds = 1);

/// Status and headers, as every answer has them.
[[nodiscard]] http::ResponseHead head_of(const Response& response, std::string_view request_id);

}  // namespace mlxguard::front
