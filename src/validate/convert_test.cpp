// SPDX-License-Identifier: Apache-2.0
#include "validate/convert.h"

#include <doctest/doctest.h>

#include <cstring>

using namespace mlxguard::validate;

TEST_CASE("convert: every finite half and bfloat survives the way out and back") {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    const double half = Half::to_double(pattern);
    if (std::isfinite(half))
      CHECK(Half::from_double(half) == pattern);
    else
      CHECK(!Half::from_double(half).has_value());
    const double brain = BrainFloat::to_double(pattern);
    if (std::isfinite(brain))
      CHECK(BrainFloat::from_double(brain) == pattern);
    else
      CHECK(!BrainFloat::from_double(brain).has_value());
  }
}

TEST_CASE("convert: halves round to nearest even and end below infinity") {
  CHECK(Half::from_double(1.0) == 0x3c00);
  CHECK(Half::from_double(1.0 + 1.0 / 2048) == 0x3c00);  // a tie goes to even
  CHECK(Half::from_double(1.0 + 3.0 / 2048) == 0x3c02);
  CHECK(Half::from_double(1.0 + 1.0 / 2048 + 1e-9) == 0x3c01);  // just above the tie
  CHECK(Half::from_double(2047.9999) == 0x6800);                // a carry into the exponent
  CHECK(Half::from_double(65504) == 0x7bff);
  CHECK(Half::from_double(65519.99) == 0x7bff);
  CHECK(!Half::from_double(65520).has_value());
  CHECK(!Half::from_double(1e300).has_value());
  CHECK(Half::from_double(std::ldexp(1.0, -24)) == 0x0001);
  CHECK(Half::from_double(std::ldexp(1.0, -26)) == 0x0000);
  CHECK(Half::from_double(std::ldexp(1023.9999, -24)) == 0x0400);  // up to the smallest normal
  CHECK(Half::from_double(-0.0) == 0x8000);
}

TEST_CASE("convert: bfloats agree with the upper half of a float") {
  for (const float value : {1.0f, -2.5f, 3.140625f, 1e30f, -1e-30f}) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    const auto found = BrainFloat::from_double(static_cast<double>(value));
    REQUIRE(found.has_value());
    const std::uint32_t upper = bits >> 16;
    CHECK((*found == upper || *found == upper + 1));
  }
  CHECK(!BrainFloat::from_double(3.4e38).has_value());
  CHECK(BrainFloat::from_double(3.38e38).has_value());
}

TEST_CASE("convert: a double becomes a float only if a finite one is near") {
  CHECK(to_float(3.4028234663852886e38) == std::numeric_limits<float>::max());
  CHECK(to_float(3.4028235e38) == std::numeric_limits<float>::max());
  CHECK(!to_float(3.4028236e38).has_value());
  CHECK(!to_float(-1e39).has_value());
  CHECK(!to_float(std::numeric_limits<double>::quiet_NaN()).has_value());
  CHECK(!to_float(std::numeric_limits<double>::infinity()).has_value());
  CHECK(to_float(1e-60) == 0.0f);
}
