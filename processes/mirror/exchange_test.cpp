// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::mirror;

TEST_CASE("exchange: one satisfiable range is served, anything else is not") {
  using Range = std::pair<std::uint64_t, std::uint64_t>;
  CHECK(parse_range("bytes=0-0", 10) == Range(0, 1));
  CHECK(parse_range("bytes=2-", 10) == Range(2, 8));
  CHECK(parse_range("bytes=-3", 10) == Range(7, 3));
  CHECK(parse_range("bytes=-30", 10) == Range(0, 10));
  CHECK(parse_range("bytes=5-99", 10) == Range(5, 5));
  for (const char* bad :
       {"bytes=10-", "bytes=5-4", "bytes=-0", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "items=0-1",
        "", "bytes=99999999999999999999-", "bytes=--1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_range(bad, 10));
  }
  CHECK_FALSE(parse_range("bytes=0-0", 0));
}

TEST_CASE("exchange: nothing in a reason can end the status line") {
  const Answer answer =
      problem(403, make_error(ErrorCode::kMirrorBlocked, "bad\r\nSet-Cookie: x\xc3\xa9"));
  const std::string head = head_of(answer, Connection::kKeepAlive);
  CHECK(head.starts_with("HTTP/1.1 403 mlxguard: bad??Set-Cookie: x??\r\n"));
  CHECK(head.find("X-Mlxguard-Code: mirror.blocked\r\n") != std::string::npos);
  CHECK(reason_phrase(std::string(1000, 'x')).size() == 300);
}

TEST_CASE("exchange: each refusal has its status") {
  const auto status = [](ErrorCode code) { return status_of(make_error(code, "")); };
  CHECK(status(ErrorCode::kMirrorBlocked) == 403);
  CHECK(status(ErrorCode::kMirrorNotAllowed) == 403);
  CHECK(status(ErrorCode::kMirrorHeld) == 423);
  CHECK(status(ErrorCode::kMirrorDigest) == 502);
  CHECK(status(ErrorCode::kMirrorUpstream) == 502);
  CHECK(status(ErrorCode::kNotFound) == 404);
  CHECK(status(ErrorCode::kLogWrite) == 503);
}
