// SPDX-License-Identifier: Apache-2.0
// What each identity may ask of the server: requests per second, by a bucket that holds one
// second's worth and fills steadily (token bucket), and requests at once. Identities come from the
// configuration, so there are never more of them than keys.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "front/settings.h"

namespace mlxguard::front {

class RateLimiter {
  struct Share {
    double tokens;
    std::chrono::steady_clock::time_point filled;
    std::int64_t running = 0;
  };

 public:
  RateLimiter(front::RateSettings settings, const Clock& clock)
      : settings_(settings), clock_(clock) {}

  /// A request that counts among those of its identity, until it is destroyed. It must not outlive
  /// the RateLimiter.
  class Admission {
   public:
    Admission() = default;
    Admission(Admission&& other) noexcept : share_(std::exchange(other.share_, nullptr)) {}
    Admission& operator=(Admission&& other) noexcept {
      std::swap(share_, other.share_);
      return *this;
    }
    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;
    ~Admission() {
      if (share_ != nullptr) --share_->running;
    }

   private:
    friend class RateLimiter;
    explicit Admission(Share* share) : share_(share) { ++share_->running; }
    Share* share_ = nullptr;
  };

  /// Takes one request from the identity's bucket. Errors: kRateLimited.
  [[nodiscard]] Result<Admission> take(const std::string& identity);

 private:
  front::RateSettings settings_;
  const Clock& clock_;
  std::map<std::string, Share> shares_;
};

}  // namespace mlxguard::front
