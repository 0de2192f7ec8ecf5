// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <charconv>

#include "codec/json.h"

namespace mlxguard::mirror {
namespace {

constexpr std::size_t kReasonBytesMax = 300;

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
  json.begin_object().field("type", "about:blank");
  json.field("title", http::reason_of(static_cast<int>(status)));
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

unsigned refusal_status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kHeadersTooLarge:
      return 431;
    case ErrorCode::kRequestTimeout:
      return 408;
    case ErrorCode::kConnectionsFull:
      return 503;
    default:
      return 400;
  }
}

http::ResponseHead head_of(const Answer& answer) {
  http::ResponseHead head;
  head.status = static_cast<int>(answer.status);
  head.reason = answer.reason;
  for (const auto& [name, value] : answer.headers) head.headers.add(name, value);
  head.headers.add("X-Content-Type-Options", "nosniff");
  return head;
}

Request request_of(const http::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  const auto text = [&head](std::string_view name) {
    return std::string(head.headers.value_of(name));
  };
  return {head.method,
          head.target,
          head.headers.joined("accept"),
          text("range"),
          text("if-range"),
          head.headers.joined("if-none-match"),
          text("authorization"),
          exchange.client().unix_peer ? std::string("127.0.0.1") : exchange.client().address};
}

http::Task<void> send_answer(http::Exchange& exchange, Answer answer) {
  http::ResponseHead head = head_of(answer);
  if (!answer.file) {
    const std::string_view body = answer.body ? std::string_view(*answer.body) : std::string_view();
    (void)co_await exchange.respond(std::move(head), body);
    co_return;
  }
  const FileBody& file = *answer.file;
  head.content_length = file.length;
  if (!co_await exchange.begin(std::move(head))) co_return;
  if (!co_await exchange.write_file(file.fd->get(), file.offset, file.length)) co_return;
  (void)co_await exchange.finish();
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
