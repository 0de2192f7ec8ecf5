// SPDX-License-Identifier: Apache-2.0
// Numbers to and from the bytes of a tensor. A number that a type cannot hold is an answer, never a
// wrap, an infinity or undefined behaviour.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

namespace mlxguard::validate {

/// An IEEE binary format of 16 bits: rounds to nearest even, as the hardware does.
template <int kFractionBits, int kExponentBits>
struct Float16Format {
  static_assert(kFractionBits + kExponentBits == 15);
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr std::uint32_t kInfinity = ((1u << kExponentBits) - 1) << kFractionBits;

  /// Nothing if the number is not finite or rounds beyond the largest finite one.
  [[nodiscard]] static std::optional<std::uint16_t> from_double(double value) {
    if (!std::isfinite(value)) return std::nullopt;
    const double size = std::fabs(value);
    std::uint32_t bits = 0;
    if (size < std::ldexp(1.0, 1 - kBias)) {
      // Subnormal; rounding up to the smallest normal number gives exactly its bits.
      bits =
          static_cast<std::uint32_t>(std::nearbyint(std::ldexp(size, kBias - 1 + kFractionBits)));
    } else {
      int exponent = 0;
      const double fraction = std::frexp(size, &exponent);  // in [0.5, 1)
      if (exponent + kBias - 1 >= (1 << kExponentBits) - 1) return std::nullopt;
      const auto scaled =
          static_cast<std::uint32_t>(std::nearbyint(std::ldexp(fraction, kFractionBits + 1)));
      // The leading one adds to the exponent, and so does a carry out of the fraction.
      bits = (static_cast<std::uint32_t>(exponent + kBias - 2) << kFractionBits) + scaled;
      if (bits >= kInfinity) return std::nullopt;
    }
    return static_cast<std::uint16_t>(bits | (std::signbit(value) ? 0x8000u : 0u));
  }

  /// Infinity and NaN included, so that a check can see them.
  [[nodiscard]] static double to_double(std::uint16_t bits) {
    const int exponent = (bits >> kFractionBits) & ((1 << kExponentBits) - 1);
    const int fraction = bits & ((1 << kFractionBits) - 1);
    double size = 0;
    if (exponent == (1 << kExponentBits) - 1) {
      size = fraction == 0 ? std::numeric_limits<double>::infinity()
                           : std::numeric_limits<double>::quiet_NaN();
    } else if (exponent == 0) {
      size = std::ldexp(fraction, 1 - kBias - kFractionBits);
    } else {
      size = std::ldexp(fraction + (1 << kFractionBits), exponent - kBias - kFractionBits);
    }
    return (bits & 0x8000) != 0 ? -size : size;
  }
};

using Half = Float16Format<10, 5>;
using BrainFloat = Float16Format<7, 8>;

/// Numbers smaller than this in size round to a finite float: it lies half a step above the largest
/// one.
inline constexpr double kFloatBeyond = 0x1.ffffffp127;

/// Rounded to nearest; nothing if it is not finite or rounds to infinity.
[[nodiscard]] inline std::optional<float> to_float(double value) {
  if (!(std::fabs(value) < kFloatBeyond)) return std::nullopt;
  return static_cast<float>(value);
}

}  // namespace mlxguard::validate
