// SPDX-License-Identifier: Apache-2.0
#include "engine/weights.h"

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <numeric>

#include "engine/test_support.h"

using namespace mlxguard;
using engine::WeightPlacement;
using engine::Weights;
using engine::test::safetensors_of;
using engine::test::sealed_file;
namespace mx = mlx::core;

namespace {

std::vector<float> some_values(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), -7.0f);
  return values;
}

std::string two_tensors(std::size_t padding = 0) {
  return safetensors_of({{"w", {64, 32}, some_values(2048)}, {"b", {32}, some_values(32)}},
                        padding);
}

Weights open_weights(const std::string& bytes,
                     WeightPlacement placement = WeightPlacement::kMapped) {
  auto weights = Weights::open(sealed_file("model.safetensors", bytes), placement);
  REQUIRE(weights.has_value());
  return std::move(weights).value();
}

std::vector<float> product_of(const Weights& weights) {
  const auto w = weights.take_float("w", {64, 32});
  const auto b = weights.take_float("b", {32});
  REQUIRE(w.has_value());
  REQUIRE(b.has_value());
  mx::array y = mx::addmm(*b, mx::ones({3, 64}), *w);
  mx::eval(y);
  CHECK(weights.failure().has_value());
  return {y.data<float>(), y.data<float>() + y.size()};
}

}  // namespace

TEST_CASE("weights: mapped tensors compute what tensors read by mlx compute") {
  const auto bytes = two_tensors();
  CHECK(product_of(open_weights(bytes)) == product_of(open_weights(bytes, WeightPlacement::kRead)));
}

TEST_CASE("weights: a mapped tensor lies in the file's mapping, copied by nobody") {
  REQUIRE(engine::mapped_weights_supported());
  const auto weights = open_weights(two_tensors());
  const auto* w = weights.index().find("w");
  const auto* b = weights.index().find("b");
  mx::array first = weights.array_of(*w);
  mx::array second = weights.array_of(*b);
  mx::eval(first, second);
  CHECK(second.data<std::uint8_t>() - first.data<std::uint8_t>() ==
        static_cast<std::ptrdiff_t>(b->begin_bytes - w->begin_bytes));
}

TEST_CASE(
    "weights: mlx never takes a mapped buffer for its own, not even the last reference to it") {
  const auto weights = open_weights(two_tensors());
  mx::array alone = weights.array_of(*weights.index().find("w"));
  CHECK(!alone.is_donatable());
  // On the read-only mapping a write in place would end this process.
  mx::array y = mx::exp(mx::negative(std::move(alone)));
  mx::eval(y);
  CHECK(y.size() == 2048);
}

TEST_CASE("weights: the mapping lives as long as an array over it") {
  std::optional<mx::array> kept;
  {
    const auto weights = open_weights(two_tensors());
    kept = weights.array_of(*weights.index().find("b"));
  }
  mx::array sum = mx::sum(*kept);
  mx::eval(sum);
  CHECK(sum.data<float>()[0] == doctest::Approx(32 * -7 + 31 * 16));
}

TEST_CASE("weights: tensors that are not aligned are read, with the same result") {
  for (const std::size_t padding : {1, 2, 3, 5, 7}) {
    CAPTURE(padding);
    const auto weights = open_weights(two_tensors(padding));
    CHECK(product_of(weights) == product_of(open_weights(two_tensors())));
    mx::array w = weights.array_of(*weights.index().find("w"));
    mx::eval(w);
    CHECK(reinterpret_cast<std::uintptr_t>(w.data<float>()) % alignof(float) == 0);
  }
}

TEST_CASE("weights: refuses a tensor that is missing, of another shape, or of no float type") {
  const auto weights = open_weights(two_tensors());
  const auto missing = weights.take_float("v", {32});
  REQUIRE(!missing.has_value());
  CHECK(missing.error().code == ErrorCode::kTensorMissing);
  CHECK(missing.error().subject == "v");
  const auto code_for = [&](std::initializer_list<std::int64_t> shape) {
    const auto other = weights.take_float("b", shape);
    REQUIRE(!other.has_value());
    return other.error().code;
  };
  CHECK(code_for({}) == ErrorCode::kTensorShape);
  CHECK(code_for({31}) == ErrorCode::kTensorShape);
  CHECK(code_for({33}) == ErrorCode::kTensorShape);
  CHECK(code_for({32, 1}) == ErrorCode::kTensorShape);
  CHECK(code_for({1, 32}) == ErrorCode::kTensorShape);
  std::string bytes = two_tensors();
  const auto at = bytes.find("\"b\":{\"dtype\":\"F32");
  bytes.replace(at, 17, "\"b\":{\"dtype\":\"I32");
  const auto integers = open_weights(bytes).take_float("b", {32});
  REQUIRE(!integers.has_value());
  CHECK(integers.error().code == ErrorCode::kTensorShape);
}

TEST_CASE("weights: refuses a header that mlx would take") {
  std::string header =
      R"({"t":{"dtype":"U8","shape":[65536,65536,65536,65536],"data_offsets":[0,0]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  const auto weights = Weights::open(sealed_file("model.safetensors", file + header));
  REQUIRE(!weights.has_value());
  CHECK(weights.error().code == ErrorCode::kSafetensorsShape);
}
