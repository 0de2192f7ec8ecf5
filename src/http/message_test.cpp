// SPDX-License-Identifier: Apache-2.0
#include "http/message.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::http;

TEST_CASE("headers: names are found without regard to case, the first of several first") {
  const Headers headers{{"Accept", "a"}, {"X-Thing", "1"}, {"accept", "b"}};
  CHECK(headers.find("ACCEPT") == "a");
  CHECK(headers.joined("accept") == "a, b");
  CHECK(headers.value_of("x-thing") == "1");
  CHECK(headers.value_of("x-thin").empty());
  CHECK_FALSE(headers.has("X-Thingy"));
  CHECK(headers.joined("absent").empty());
}

TEST_CASE("headers: what decides something may come once") {
  for (const char* name : {"Host", "content-length", "AUTHORIZATION", "X-Api-Key", "Origin"}) {
    CAPTURE(name);
    CHECK(is_single_header(name));
  }
  for (const char* name : {"Accept", "If-None-Match", "Cookie", "X-Forwarded-For", ""}) {
    CAPTURE(name);
    CHECK_FALSE(is_single_header(name));
  }
}
