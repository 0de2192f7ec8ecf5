// SPDX-License-Identifier: Apache-2.0
#include "base/limits.h"

#include <doctest/doctest.h>

#include "limits/restart_policy.h"
#include "limits/worker_limits.h"

using namespace mlxguard;
using namespace mlxguard::limits;
using namespace std::chrono_literals;

namespace {

constexpr RestartPolicy::Time kStart{1000h};

RestartOptions exact() {
  RestartOptions options;
  options.jitter = 0;
  options.seed = 1;
  return options;
}

}  // namespace

TEST_CASE("limits: a worker's memory is three times its model and a floor") {
  WorkerLimitsInput input;
  CHECK(worker_limits(input).memory_bytes_max == 512u << 20);
  input.model_bytes = 100u << 20;
  CHECK(worker_limits(input).memory_bytes_max == 812u << 20);
}

TEST_CASE("limits: the operator's memory replaces the formula") {
  WorkerLimitsInput input;
  input.model_bytes = 1ull << 40;
  input.memory_bytes_max = 64u << 20;
  CHECK(worker_limits(input).memory_bytes_max == 64u << 20);
}

TEST_CASE("limits: a model of absurd size does not wrap to a small or absent limit") {
  WorkerLimitsInput input;
  input.model_bytes = ~0ull / 3 + 1;
  CHECK(worker_limits(input).memory_bytes_max == 1ull << 62);
  input.model_bytes = ~0ull;
  CHECK(worker_limits(input).memory_bytes_max == 1ull << 62);
}

TEST_CASE("limits: every limit of a worker is set, but for processor time over its life") {
  WorkerLimitsInput input;
  input.threads = 4;
  input.model_files = 10;
  const auto limits = worker_limits(input);
  CHECK(limits.cpu_cores_max == 4.0);
  CHECK(limits.pids_max == 24);
  CHECK(limits.file_bytes_max == kIpcPayloadBytesMax);
  CHECK(limits.open_files_max == 266);
  CHECK_FALSE(limits.cpu_seconds_max.has_value());
}

TEST_CASE("limits: zero threads still get one core") {
  WorkerLimitsInput input;
  input.threads = 0;
  CHECK(worker_limits(input).cpu_cores_max == 1.0);
}

TEST_CASE("limits: the gateway's descriptors and memory grow with its connections") {
  const auto limits = gateway_limits(100);
  CHECK(limits.open_files_max == 456);
  CHECK(limits.memory_bytes_max == (512u + 200u) << 20);
  CHECK(limits.cpu_cores_max == 1.0);
  CHECK(limits.pids_max == 8);
}

TEST_CASE("restart: the first is immediate, the next ones double up to a second") {
  RestartPolicy policy(exact());
  const std::chrono::milliseconds expected[] = {0ms, 100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms};
  auto now = kStart;
  for (const auto delay : expected) {
    const auto decision = policy.on_death(now += 1500ms);
    CHECK(decision.delay == delay);
    CHECK_FALSE(decision.breaker_open);
    policy.on_ready(now += 100ms);
  }
}

TEST_CASE("restart: a process that stayed ready is forgiven") {
  RestartPolicy policy(exact());
  static_cast<void>(policy.on_death(kStart));
  CHECK(policy.on_death(kStart + 1s).delay == 100ms);
  policy.on_ready(kStart + 2s);
  CHECK(policy.on_death(kStart + 12s).delay == 0ms);
}

TEST_CASE("restart: staying alive without becoming ready is not forgiven") {
  RestartPolicy policy(exact());
  static_cast<void>(policy.on_death(kStart));
  CHECK(policy.on_death(kStart + 1h).delay == 100ms);
}

TEST_CASE("restart: too many deaths in the window open the breaker") {
  RestartOptions options = exact();
  options.deaths_max = 3;
  RestartPolicy policy(options);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(policy.on_death(kStart + i * 1s).breaker_open);
  const auto decision = policy.on_death(kStart + 3s);
  CHECK(decision.breaker_open);
  CHECK(decision.delay == 15s);
  CHECK(policy.state() == BreakerState::kOpen);
}

TEST_CASE("restart: deaths spread over more than the window do not open the breaker") {
  RestartOptions options = exact();
  options.deaths_max = 3;
  RestartPolicy policy(options);
  for (int i = 0; i < 50; ++i) CHECK_FALSE(policy.on_death(kStart + i * 7s).breaker_open);
}

TEST_CASE("restart: each failed try opens the breaker for twice as long, up to a bound") {
  RestartOptions options = exact();
  options.deaths_max = 0;
  RestartPolicy policy(options);
  auto now = kStart;
  for (const auto delay : {15s, 30s, 60s, 120s, 240s, 300s, 300s}) {
    const auto decision = policy.on_death(now);
    CHECK(decision.breaker_open);
    CHECK(decision.delay == delay);
    policy.on_ready(now += delay);
    CHECK(policy.state() == BreakerState::kHalfOpen);
    now += 1s;
  }
}

TEST_CASE("restart: a steady try closes the breaker and forgets") {
  RestartOptions options = exact();
  options.deaths_max = 1;
  RestartPolicy policy(options);
  static_cast<void>(policy.on_death(kStart));
  CHECK(policy.on_death(kStart).breaker_open);
  policy.on_ready(kStart + 20s);
  const auto decision = policy.on_death(kStart + 30s);
  CHECK_FALSE(decision.breaker_open);
  CHECK(decision.delay == 0ms);
  CHECK(policy.state() == BreakerState::kClosed);
}

TEST_CASE("restart: jitter stays within its share and is not always the same") {
  RestartOptions options;
  options.seed = 7;
  options.deaths_max = 1000;
  RestartPolicy policy(options);
  static_cast<void>(policy.on_death(kStart));
  std::chrono::milliseconds low{10'000};
  std::chrono::milliseconds high{0};
  for (int i = 0; i < 100; ++i) {
    const auto delay = policy.on_death(kStart).delay;
    if (i < 5) continue;  // still growing
    low = std::min(low, delay);
    high = std::max(high, delay);
  }
  CHECK(low >= 800ms);
  CHECK(high <= 1200ms);
  CHECK(high - low > 100ms);
}
