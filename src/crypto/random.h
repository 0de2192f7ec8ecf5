// SPDX-License-Identifier: Apache-2.0
// Randomness by constructor, so that tests can be repeated; production uses the kernel's.
#pragma once

#include <cstdint>
#include <span>

namespace mlxguard::crypto {

class Random {
 public:
  virtual ~Random() = default;
  /// Fills `out`; thread-safe. Aborts if the kernel gives no randomness.
  virtual void fill(std::span<std::uint8_t> out) = 0;
};

/// getrandom(2).
class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

}  // namespace mlxguard::crypto
