// SPDX-License-Identifier: Apache-2.0
#include "front/rate.h"

#include <algorithm>

namespace mlxguard::front {

Result<void> RateLimiter::take(const std::string& identity) {
  if (rate_ == 0) return {};
  const auto now = clock_.steady();
  Bucket& bucket = buckets_.try_emplace(identity, Bucket{rate_, now}).first->second;
  const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.tokens = std::min(rate_, bucket.tokens + seconds * rate_);
  bucket.filled = now;
  if (bucket.tokens < 1) {
    return make_error(ErrorCode::kRateLimited, "too many requests with this API key");
  }
  bucket.tokens -= 1;
  return {};
}

}  // namespace mlxguard::front
