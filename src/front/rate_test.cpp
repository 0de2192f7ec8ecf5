// SPDX-License-Identifier: Apache-2.0
#include "front/rate.h"

#include <doctest/doctest.h>

using namespace mlxguard;
using namespace mlxguard::front;

namespace {

class TestClock final : public Clock {
 public:
  [[nodiscard]] WallTime now() const override { return WallTime{}; }
  [[nodiscard]] std::chrono::steady_clock::time_point steady() const override { return time; }
  std::chrono::steady_clock::time_point time{};
};

}  // namespace

TEST_CASE("rate: a second's worth at once, then as fast as the bucket fills") {
  TestClock clock;
  RateLimiter rates({.requests_per_second_max = 10}, clock);
  for (int i = 0; i < 10; ++i) CHECK(rates.take("a").has_value());
  REQUIRE(!rates.take("a").has_value());
  CHECK(rates.take("a").error().code == ErrorCode::kRateLimited);
  CHECK(rates.take("b").has_value());
  clock.time += std::chrono::milliseconds(250);
  CHECK(rates.take("a").has_value());
  CHECK(rates.take("a").has_value());
  CHECK(!rates.take("a").has_value());
  clock.time += std::chrono::hours(1);
  for (int i = 0; i < 10; ++i) CHECK(rates.take("a").has_value());
  CHECK(!rates.take("a").has_value());
}

TEST_CASE("rate: zero is no bound") {
  const TestClock clock;
  RateLimiter rates({}, clock);
  for (int i = 0; i < 1000; ++i) CHECK(rates.take("a").has_value());
}

TEST_CASE("rate: as many at once as allowed, and one more when one has ended") {
  const TestClock clock;
  RateLimiter rates({.requests_concurrent_max = 2}, clock);
  auto first = rates.take("a");
  {
    const auto second = rates.take("a");
    REQUIRE(second.has_value());
    CHECK(rates.take("a").error().code == ErrorCode::kRateLimited);
    CHECK(rates.take("b").has_value());
  }
  auto third = rates.take("a");
  CHECK(third.has_value());
  CHECK(!rates.take("a").has_value());
  // A moved admission counts once.
  const RateLimiter::Admission kept = std::move(*third);
  CHECK(!rates.take("a").has_value());
}
