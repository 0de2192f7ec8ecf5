// SPDX-License-Identifier: Apache-2.0
#include "limits/restart_policy.h"

#include <algorithm>
#include <random>

namespace mlxguard::limits {
namespace {

std::uint64_t seed_of(const RestartOptions& options) {
  if (options.seed != 0) return options.seed;
  std::random_device device;
  return (std::uint64_t{device()} << 32 | device()) | 1u;
}

}  // namespace

RestartPolicy::RestartPolicy(RestartOptions options)
    : options_(options), random_state_(seed_of(options)), open_next_(options.open_first) {}

RestartDecision RestartPolicy::on_death(Time now) {
  forgive_if_steady(now);
  ready_ = false;
  deaths_.push_back(now);
  while (deaths_.front() + options_.window < now) deaths_.pop_front();

  // The one try that a half-open breaker allows has failed.
  if (state_ != BreakerState::kClosed) return open(jittered(open_next_));
  if (deaths_.size() > options_.deaths_max) return open(jittered(open_next_));

  if (restarts_in_a_row_++ == 0) return {};
  const std::uint32_t doublings = std::min(restarts_in_a_row_ - 2, 20u);
  return {jittered(std::min(options_.delay_first * (1u << doublings), options_.delay_max)), false};
}

void RestartPolicy::on_ready(Time now) {
  ready_ = true;
  ready_since_ = now;
  if (state_ == BreakerState::kOpen) state_ = BreakerState::kHalfOpen;
}

void RestartPolicy::forgive_if_steady(Time now) {
  if (!ready_ || now - ready_since_ < options_.steady_after) return;
  state_ = BreakerState::kClosed;
  deaths_.clear();
  restarts_in_a_row_ = 0;
  open_next_ = options_.open_first;
}

RestartDecision RestartPolicy::open(std::chrono::milliseconds delay) {
  state_ = BreakerState::kOpen;
  open_next_ = std::min(open_next_ * 2, options_.open_max);
  deaths_.clear();
  return {delay, true};
}

std::chrono::milliseconds RestartPolicy::jittered(std::chrono::milliseconds delay) {
  // xorshift64: many workers that died together shall not come back together; nothing secret.
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  const double unit = static_cast<double>(random_state_ >> 11) * 0x1.0p-53;
  const double factor = 1.0 + options_.jitter * (2.0 * unit - 1.0);
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(static_cast<double>(delay.count()) * factor));
}

}  // namespace mlxguard::limits
