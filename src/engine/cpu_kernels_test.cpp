// SPDX-License-Identifier: Apache-2.0
#include "engine/cpu_kernels.h"

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/cpu_ops.h"
#include "engine/test_support.h"

using namespace mlxguard;
namespace mx = mlx::core;

namespace {

double exact_gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

std::vector<double> exact_softmax(const std::vector<float>& in, std::size_t used, double scale) {
  double top = -INFINITY;
  for (std::size_t i = 0; i < used; ++i) top = std::max(top, in[i] * scale);
  std::vector<double> out(in.size(), 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < used; ++i) sum += out[i] = std::exp(in[i] * scale - top);
  for (double& value : out) value /= sum;
  return out;
}

}  // namespace

TEST_CASE("kernels: gelu is exact to float's rounding, at every level this processor has") {
  std::vector<float> in;
  for (int i = -120'000; i <= 120'000; ++i) in.push_back(static_cast<float>(i) * 1e-4f);
  for (const float extreme : {-1e30f, -100.0f, 100.0f, 1e30f, 0.0f, -0.0f, 1e-38f}) {
    in.push_back(extreme);
  }
  for (const engine::Kernels& kernels : engine::available_kernels()) {
    CAPTURE(std::string(kernels.level));
    std::vector<float> out(in.size());
    kernels.gelu(in.data(), out.data(), in.size());
    double worst = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
      const double expected = exact_gelu(in[i]);
      worst = std::max(worst, std::abs(out[i] - expected) / std::max(1.0, std::abs(expected)));
    }
    CHECK(worst < 3e-7);
  }
}

TEST_CASE("kernels: gelu touches exactly what it is given, also in place") {
  for (const engine::Kernels& kernels : engine::available_kernels()) {
    for (std::size_t count = 0; count < 40; ++count) {
      std::vector<float> values(count + 2, 1.0f);
      kernels.gelu(values.data() + 1, values.data() + 1, count);
      CHECK(values.front() == 1.0f);
      CHECK(values.back() == 1.0f);
      for (std::size_t i = 1; i <= count; ++i) {
        CHECK(values[i] == doctest::Approx(exact_gelu(1.0)));
      }
    }
  }
}

TEST_CASE("kernels: softmax over the first numbers, zeros behind, at every length and level") {
  for (const engine::Kernels& kernels : engine::available_kernels()) {
    double worst = 0;
    for (std::size_t length = 1; length <= 130; ++length) {
      std::vector<float> in(length);
      for (std::size_t i = 0; i < length; ++i) {
        in[i] = 40 * std::sin(static_cast<float>(i) * 12.9898f + static_cast<float>(length));
      }
      for (std::size_t used = 1; used <= length; ++used) {
        std::vector<float> out(length + 1, 7.0f);
        kernels.masked_softmax(in.data(), out.data(), length, used, 0.17f);
        const auto expected = exact_softmax(in, used, double{0.17f});
        for (std::size_t i = 0; i < length; ++i) {
          worst = std::max(worst, std::abs(out[i] - expected[i]));
        }
        if (out[length] != 7.0f) FAIL("wrote behind the row");
      }
    }
    CAPTURE(std::string(kernels.level));
    CHECK(worst < 3e-7);
  }
}

TEST_CASE("kernels: NaN is not hidden") {
  for (const engine::Kernels& kernels : engine::available_kernels()) {
    std::vector<float> values{1, NAN, 2, 3};
    kernels.gelu(values.data(), values.data(), values.size());
    CHECK(std::isnan(values[1]));
    std::vector<float> scores(32, 1.0f);
    scores[5] = NAN;
    kernels.masked_softmax(scores.data(), scores.data(), 32, 32, 1.0f);
    CHECK(std::isnan(scores[5]));
  }
}

TEST_CASE("kernels: as operations of mlx's graph they leave an input alone that is used again") {
  engine::test::require_runtime();
  const mx::array x = mx::add(mx::ones({2, 3}), mx::array(0.0f));
  mx::array y = engine::gelu_op(x);
  mx::array again = mx::add(x, mx::array(0.0f));
  mx::eval(y, again);
  CHECK(again.data<float>()[5] == 1.0f);
  CHECK(y.data<float>()[5] == doctest::Approx(exact_gelu(1.0)));
  mx::array transposed = engine::gelu_op(mx::transpose(mx::multiply(x, mx::array(2.0f))));
  mx::eval(transposed);
  CHECK(transposed.shape() == mx::Shape{3, 2});
  CHECK(transposed.data<float>()[0] == doctest::Approx(exact_gelu(2.0)));
}

TEST_CASE("kernels: the softmax operation masks each text of a batch by its own length") {
  engine::test::require_runtime();
  mx::array probabilities = engine::masked_softmax_op(mx::ones({2, 1, 2, 4}), {4, 1}, 1.0f);
  mx::eval(probabilities);
  const float* const p = probabilities.data<float>();
  CHECK(std::vector<float>(p, p + 16) ==
        std::vector<float>{.25, .25, .25, .25, .25, .25, .25, .25, 1, 0, 0, 0, 1, 0, 0, 0});
}
