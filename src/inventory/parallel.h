// SPDX-License-Identifier: Apache-2.0
// Runs one function over many items on several threads; the items are handed out one by one, so
// that a large file does not keep the others waiting.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace mlxguard::inventory {

/// `work(i)` for each i below `count`, from any thread. `threads` 0: one a core.
template <class Work>
void parallel_for(std::size_t count, unsigned threads, const Work& work) {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const std::size_t wanted = std::min<std::size_t>(threads == 0 ? cores : threads, count);
  std::atomic<std::size_t> next{0};
  const auto run = [&] {
    for (std::size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> helpers;
  for (std::size_t i = 1; i < wanted; ++i) helpers.emplace_back(run);
  run();
}

}  // namespace mlxguard::inventory
