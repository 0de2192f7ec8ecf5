// SPDX-License-Identifier: Apache-2.0
// RestartPolicy: when a dead process is started again. The first time at once, then with growing,
// jittered delays; too many deaths in a short time open a breaker, after which one try at a time
// decides whether it closes. A pure value: time comes in as an argument, nothing is started here.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace mlxguard::limits {

struct RestartOptions {
  std::chrono::milliseconds delay_first{100};  ///< of the second restart; the first has none
  std::chrono::milliseconds delay_max{1000};   ///< so that a worker is back within two seconds
  std::uint32_t deaths_max = 16;               ///< in the window; one more opens the breaker
  std::chrono::milliseconds window{20'000};
  std::chrono::milliseconds open_first{15'000};
  std::chrono::milliseconds open_max{300'000};
  std::chrono::milliseconds steady_after{10'000};  ///< alive and ready this long: forgiven
  double jitter = 0.2;                             ///< delays vary by this share, up and down
  std::uint64_t seed = 0;                          ///< of the jitter; 0: from the system
};

enum class BreakerState : std::uint8_t {
  kClosed,    ///< restarts with back-off
  kOpen,      ///< waits; the delay says how long
  kHalfOpen,  ///< one try is running
};

struct RestartDecision {
  std::chrono::milliseconds delay{0};
  bool breaker_open = false;
};

/// Not thread-safe.
class RestartPolicy {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit RestartPolicy(RestartOptions options = {});

  /// The process died at `now`: after which delay to start it again.
  [[nodiscard]] RestartDecision on_death(Time now);
  /// It became ready at `now`.
  void on_ready(Time now);

  [[nodiscard]] BreakerState state() const { return state_; }

 private:
  void forgive_if_steady(Time now);
  [[nodiscard]] RestartDecision open(std::chrono::milliseconds delay);
  [[nodiscard]] std::chrono::milliseconds jittered(std::chrono::milliseconds delay);

  RestartOptions options_;
  std::uint64_t random_state_;
  BreakerState state_ = BreakerState::kClosed;
  std::deque<Time> deaths_;  ///< in the window; at most deaths_max + 1
  std::uint32_t restarts_in_a_row_ = 0;
  std::chrono::milliseconds open_next_;
  bool ready_ = false;
  Time ready_since_{};
};

}  // namespace mlxguard::limits
