// SPDX-License-Identifier: Apache-2.0
#include "validate/tensor.h"

#include <doctest/doctest.h>

#include "base/limits.h"

using namespace mlxguard;
using namespace mlxguard::validate;

TEST_CASE("tensor: every type has a name that finds it again, and a size") {
  for (int i = 0; i <= static_cast<int>(Dtype::kFp64); ++i) {
    const Dtype dtype = static_cast<Dtype>(i);
    CHECK(find_dtype(name_of(dtype)) == dtype);
    CHECK(size_of(dtype) >= 1);
    CHECK(size_of(dtype) <= 8);
  }
  CHECK(!find_dtype("BYTES").has_value());
  CHECK(!find_dtype("fp32").has_value());
  CHECK(!find_dtype("").has_value());
}

TEST_CASE("tensor: the number of elements is the product, and one for a scalar") {
  CHECK(element_count({}).value() == 1);
  CHECK(element_count({3, 4}).value() == 12);
  CHECK(element_count({3, 0, 4}).value() == 0);
}

TEST_CASE("tensor: a product that wraps or is too large is an error, also beside a zero") {
  CHECK(element_count({-1}).error().code == ErrorCode::kOverflow);
  CHECK(element_count({0, -1}).error().code == ErrorCode::kOverflow);
  CHECK(element_count({limits::kTensorDimensionMax + 1}).error().code == ErrorCode::kOverflow);
  CHECK(element_count({1 << 30, 1 << 30, 16}).error().code == ErrorCode::kOverflow);
  CHECK(element_count({0, 1 << 30, 1 << 30, 16}).error().code == ErrorCode::kOverflow);
  CHECK(element_count({1 << 20, (1 << 20) + 1}).error().code == ErrorCode::kOverflow);
  CHECK(element_count({1 << 20, 1 << 20}).value() == limits::kTensorElementsMax);
}
