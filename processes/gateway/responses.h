// SPDX-License-Identifier: Apache-2.0
// What goes back to a client: the status of each error code, error bodies in each protocol's form,
// and the head of a response. No header or error ever holds a byte that the client sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "routes.h"

namespace mlxguard::gateway {

struct Response {
  int status = 200;
  std::string body;                      ///< JSON
  std::optional<ErrorCode> code;         ///< why, if it is an error
  std::int64_t retry_after_seconds = 0;  ///< 0: no header
  std::string allow;                     ///< of a 405
};

/// The HTTP status of an error, whichever station it comes from.
[[nodiscard]] int status_of(ErrorCode code);

/// An error in the protocol's form, with its stable code:
///   OpenAI      {"error": {"message", "type", "param", "code"}}
///   inference   {"error": "message [code]"}
/// 429 and 503 say when to come back: `retry_after_seconds`, at least 1.
[[nodiscard]] Response error_response(Protocol protocol, const Error& error,
                                      std::int64_t retry_after_seconds = 1);

/// Status and headers, as every answer of the gateway has them.
[[nodiscard]] http::ResponseHead head_of(const Response& response, std::string_view request_id);

}  // namespace mlxguard::gateway
