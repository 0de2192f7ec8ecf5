// SPDX-License-Identifier: Apache-2.0
// A request to the mirror and its answer, as values. The request's texts were chosen by a client.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/exchange.h"
#include "mirror/policy.h"

namespace mlxguard::mirror {

struct Request {
  std::string method;
  std::string target;
  std::string accept;
  std::string range;
  std::string if_range;
  std::string if_none_match;
  std::string authorization;
  std::string client;  ///< address
};

/// Part of an open file.
struct FileBody {
  std::shared_ptr<const UniqueFd> fd;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct Answer {
  unsigned status = 200;
  std::string reason = "OK";  ///< of the status line: installers show it to their users
  std::vector<std::pair<std::string, std::string>> headers;
  std::shared_ptr<const std::string> body;
  std::optional<FileBody> file;

  Answer& with(std::string name, std::string value) {
    headers.emplace_back(std::move(name), std::move(value));
    return *this;
  }
};

/// A refusal as problem+json (RFC 9457), which uv shows, with the reason in the status line as
/// well, which pip shows.
[[nodiscard]] Answer problem(unsigned status, const Error& error,
                             const std::vector<Finding>& findings = {});
[[nodiscard]] Answer not_found(std::string message);
[[nodiscard]] Answer redirect(std::string target);
[[nodiscard]] Answer text_answer(std::string_view type, std::string text);
/// The HTTP status of an error of the mirror.
[[nodiscard]] unsigned status_of(const Error& error);
/// Text for a status line: printable ASCII, one line, bounded.
[[nodiscard]] std::string reason_phrase(std::string_view text);
/// The status of what never became a request, as http::Handler::refuse is told of it.
[[nodiscard]] unsigned refusal_status_of(ErrorCode code);
[[nodiscard]] http::ResponseHead head_of(const Answer& answer);
[[nodiscard]] Request request_of(const http::Exchange& exchange);
[[nodiscard]] http::Task<void> send_answer(http::Exchange& exchange, Answer answer);

/// What a Range header asks for (RFC 9110, 14.2). Several ranges, other units and what is not
/// well-formed are as if absent: the whole file is the answer then.
struct Range {
  enum class Kind : std::uint8_t { kWhole, kPart, kUnsatisfiable } kind = Kind::kWhole;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool operator==(const Range&) const = default;
};
[[nodiscard]] Range parse_range(std::string_view untrusted_range, std::uint64_t size);
/// Whether an If-None-Match header names this entity tag: alone, in a list, weak, or as "*".
[[nodiscard]] bool names_etag(std::string_view untrusted_header, std::string_view etag);

}  // namespace mlxguard::mirror
