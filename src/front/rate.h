// SPDX-License-Identifier: Apache-2.0
// Requests per second of each identity: a bucket that holds one second's worth and fills steadily.
// Identities come from the configuration, so there are never more buckets than keys.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace mlxguard::front {

class RateLimiter {
 public:
  /// 0 requests per second: no bound.
  RateLimiter(std::uint32_t requests_per_second_max, const Clock& clock)
      : rate_(requests_per_second_max), clock_(clock) {}

  /// Takes one request from the identity's bucket. Errors: kRateLimited.
  [[nodiscard]] Result<void> take(const std::string& identity);

 private:
  struct Bucket {
    double tokens;
    std::chrono::steady_clock::time_point filled;
  };
  double rate_;
  const Clock& clock_;
  std::map<std::string, Bucket> buckets_;
};

}  // namespace mlxguard::front
