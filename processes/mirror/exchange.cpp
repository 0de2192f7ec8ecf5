// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <charconv>

#include "codec/json.h"

namespace mlxguard::mirror {
namespace {

constexpr std::size_t kReasonBytesMax = 300;

std::string_view title_of(unsigned status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 413:
      return "Content Too Large";
    case 416:
      return "Range Not Satisfiable";
    case 423:
      return "Locked";
    case 431:
      return "Request Header Fields Too Large";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

}  // namespace

unsigned status_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kMirrorBlocked:
    case ErrorCode::kMirrorNotAllowed:
      return 403;
    case ErrorCode::kMirrorHeld:
      return 423;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kMirrorUpstream:
    case ErrorCode::kMirrorDigest:
    case ErrorCode::kMirrorPage:
    case ErrorCode::kTruncated:
    case ErrorCode::kTooLarge:
      return 502;
    default:
      return 503;
  }
}

std::string reason_phrase(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kReasonBytesMax)) out += c >= ' ' && c < 0x7f ? c : '?';
  return out;
}

Answer problem(unsigned status, const Error& error, const std::vector<Finding>& findings) {
  codec::JsonWriter json;
  json.begin_object().field("type", "about:blank").field("title", title_of(status));
  json.field("status", static_cast<std::int64_t>(status)).field("detail", error.message);
  json.field("code", name_of(error.code));
  if (!error.expected.empty()) json.field("expected", error.expected).field("actual", error.actual);
  if (!findings.empty()) {
    json.key("findings").begin_array();
    for (const Finding& finding : findings) {
      json.begin_object().field("verdict", name_of(finding.verdict)).field("code", finding.code);
      json.field("text", finding.text).end_object();
    }
    json.end_array();
  }
  json.end_object();
  Answer answer;
  answer.status = status;
  answer.reason = reason_phrase("mlxguard: " + error.message);
  answer.with("Content-Type", "application/problem+json").with("Cache-Control", "no-store");
  answer.with("X-Mlxguard-Code", std::string(name_of(error.code)));
  answer.body = std::make_shared<const std::string>(std::move(json).take() + "\n");
  return answer;
}

Answer redirect(std::string target) {
  Answer answer;
  answer.status = 301;
  answer.reason = "Moved Permanently";
  answer.with("Location", std::move(target));
  answer.body = std::make_shared<const std::string>();
  return answer;
}

Answer not_found(std::string message) {
  return problem(404, make_error(ErrorCode::kNotFound, std::move(message)));
}

Answer text_answer(std::string_view type, std::string text) {
  Answer answer;
  answer.with("Content-Type", std::string(type));
  answer.body = std::make_shared<const std::string>(std::move(text));
  return answer;
}

std::string head_of(const Answer& answer, Connection connection) {
  std::string head = "HTTP/1.1 " + std::to_string(answer.status) + " " + answer.reason + "\r\n";
  for (const auto& [name, value] : answer.headers) head += name + ": " + value + "\r\n";
  std::uint64_t length = 0;
  if (answer.file) length = answer.file->length;
  if (answer.body) length = answer.body->size();
  if (answer.status != 304) head += "Content-Length: " + std::to_string(length) + "\r\n";
  head += "X-Content-Type-Options: nosniff\r\n";
  if (connection == Connection::kClose) head += "Connection: close\r\n";
  return head + "\r\n";
}

Range parse_range(std::string_view range, std::uint64_t size) {
  if (!range.starts_with("bytes=")) return {};
  range.remove_prefix(6);
  const auto dash = range.find('-');
  if (dash == std::string_view::npos) return {};
  const auto number = [](std::string_view text) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
      return std::nullopt;
    return value;
  };
  const std::string_view from = range.substr(0, dash);
  const std::string_view to = range.substr(dash + 1);
  const auto first = number(from);
  const auto last = number(to);
  if ((!from.empty() && !first) || (!to.empty() && !last) || (!first && !last)) return {};
  constexpr Range kUnsatisfiable{Range::Kind::kUnsatisfiable, 0, 0};
  if (!first) {  // the last so many bytes
    const std::uint64_t count = std::min(*last, size);
    if (count == 0) return kUnsatisfiable;
    return {Range::Kind::kPart, size - count, count};
  }
  if (last && *last < *first) return {};
  if (*first >= size) return kUnsatisfiable;
  const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return {Range::Kind::kPart, *first, end - *first + 1};
}

bool names_etag(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    const auto comma = std::min(header.find(','), header.size());
    std::string_view one = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    while (!one.empty() && (one.front() == ' ' || one.front() == '\t')) one.remove_prefix(1);
    while (!one.empty() && (one.back() == ' ' || one.back() == '\t')) one.remove_suffix(1);
    if (one == "*") return true;
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == etag) return true;
  }
  return false;
}

}  // namespace mlxguard::mirror
