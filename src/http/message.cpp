// SPDX-License-Identifier: Apache-2.0
#include "http/message.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace mlxguard::http {
namespace {

constexpr std::array<std::string_view, 18> kSingleHeaders{
    "host",          "content-length", "transfer-encoding", "authorization",
    "x-api-key",     "content-type",   "expect",            "origin",
    "content-range", "range",          "if-range",          "proxy-authorization",
    "user-agent",    "referer",        "date",              "if-modified-since",
    "x-request-id",  "inference-header-content-length"};

}  // namespace

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const Header& header : list_) {
    if (equals_ignoring_case(header.name, name)) return header.value;
  }
  return std::nullopt;
}

std::string_view Headers::value_of(std::string_view name) const {
  return find(name).value_or(std::string_view());
}

std::string Headers::joined(std::string_view name) const {
  std::string all;
  bool first = true;
  for (const Header& header : list_) {
    if (!equals_ignoring_case(header.name, name)) continue;
    if (!std::exchange(first, false)) all += ", ";
    all += header.value;
  }
  return all;
}

bool is_single_header(std::string_view name) {
  return std::any_of(
      kSingleHeaders.begin(), kSingleHeaders.end(),
      [name](std::string_view single) { return equals_ignoring_case(single, name); });
}

Error client_gone() {
  return make_error(ErrorCode::kClientGone, "the client went away before its answer");
}

std::string_view reason_of(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
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
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 423:
      return "Locked";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Unknown";
  }
}

}  // namespace mlxguard::http
