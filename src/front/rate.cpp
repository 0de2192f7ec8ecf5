// SPDX-License-Identifier: Apache-2.0
#include "front/rate.h"

#include <algorithm>

namespace mlxguard::front {

Result<RateLimiter::Admission> RateLimiter::take(const std::string& identity) {
  const auto rate = static_cast<double>(settings_.requests_per_second_max);
  const std::int64_t at_once = settings_.requests_concurrent_max;
  if (rate == 0 && at_once == 0) return Admission();
  const auto now = clock_.steady();
  Share& share = shares_.try_emplace(identity, Share{rate, now}).first->second;
  if (at_once > 0 && share.running >= at_once) {
    return make_error(ErrorCode::kRateLimited, "too many requests at once with this API key");
  }
  if (rate > 0) {
    const double seconds = std::chrono::duration<double>(now - share.filled).count();
    share.tokens = std::min(rate, share.tokens + seconds * rate);
    share.filled = now;
    if (share.tokens < 1) {
      return make_error(ErrorCode::kRateLimited, "too many requests with this API key");
    }
    share.tokens -= 1;
  }
  return Admission(&share);
}

}  // namespace mlxguard::front
