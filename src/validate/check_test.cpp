// SPDX-License-Identifier: Apache-2.0
#include "validate/check.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

using namespace mlxguard;
using namespace mlxguard::validate;

namespace {

template <class T>
std::vector<std::uint8_t> bytes_of(const std::vector<T>& values) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

ModelSchema schema_of(TensorSpec spec) {
  ModelSchema schema;
  schema.outputs.push_back(spec);
  schema.inputs.push_back(std::move(spec));
  return schema;
}

template <class T>
Tensor tensor_of(Dtype dtype, Shape shape, const std::vector<T>& values) {
  return Tensor{"x", dtype, std::move(shape), bytes_of(values)};
}

TensorSpec spec_of(Dtype dtype, std::optional<double> min = {}, std::optional<double> max = {}) {
  return TensorSpec{"x", dtype, {Dimension{1, 4}}, min, max};
}

/// The code a single value is refused with, or nothing.
template <class T>
std::optional<ErrorCode> judge(const TensorSpec& spec, T value) {
  std::vector<Tensor> inputs;
  inputs.push_back(tensor_of<T>(spec.dtype, {1}, {value}));
  const auto checked = check_inputs(schema_of(spec), std::move(inputs));
  if (checked) return std::nullopt;
  CHECK(checked.error().subject == "x");
  return checked.error().code;
}

std::optional<ErrorCode> judge_inputs(const ModelSchema& schema, std::vector<Tensor> inputs) {
  const auto checked = check_inputs(schema, std::move(inputs));
  if (checked) return std::nullopt;
  return checked.error().code;
}

}  // namespace

TEST_CASE("check: inputs come out in the schema's order") {
  ModelSchema schema;
  schema.inputs = {TensorSpec{"a", Dtype::kUint8, {}, {}, {}},
                   TensorSpec{"b", Dtype::kUint8, {}, {}, {}}};
  std::vector<Tensor> inputs{{"b", Dtype::kUint8, {}, {2}}, {"a", Dtype::kUint8, {}, {1}}};
  const auto checked = check_inputs(schema, std::move(inputs));
  REQUIRE(checked.has_value());
  CHECK(checked->tensors()[0].data[0] == 1);
  CHECK(checked->tensors()[1].data[0] == 2);
}

TEST_CASE("check: every input exactly once, and no other") {
  ModelSchema schema;
  schema.inputs = {TensorSpec{"a", Dtype::kUint8, {}, {}, {}}};
  const Tensor a{"a", Dtype::kUint8, {}, {1}};
  const Tensor other{"other", Dtype::kUint8, {}, {1}};
  CHECK(!judge_inputs(schema, {a}).has_value());
  CHECK(judge_inputs(schema, {}) == ErrorCode::kRequestMissing);
  CHECK(judge_inputs(schema, {a, other}) == ErrorCode::kRequestUnknown);
  CHECK(judge_inputs(schema, {a, a}) == ErrorCode::kRequestUnknown);
  const auto unknown = check_inputs(schema, {other});
  CHECK(unknown.error().message.find("other") == std::string::npos);
}

TEST_CASE("check: dtype, rank, extents and element count are the schema's") {
  const ModelSchema schema =
      schema_of(TensorSpec{"x", Dtype::kFp32, {Dimension{1, 2}, Dimension{3, 3}}, {}, {}});
  const std::vector<float> six(6, 1.0f);
  CHECK(!judge_inputs(schema, {tensor_of(Dtype::kFp32, {2, 3}, six)}).has_value());
  CHECK(judge_inputs(schema, {tensor_of(Dtype::kInt32, {2, 3}, six)}) == ErrorCode::kRequestType);
  CHECK(judge_inputs(schema, {tensor_of(Dtype::kFp32, {6}, six)}) == ErrorCode::kRequestShape);
  CHECK(judge_inputs(schema, {tensor_of(Dtype::kFp32, {2, 3, 1}, six)}) ==
        ErrorCode::kRequestShape);
  CHECK(judge_inputs(schema, {tensor_of(Dtype::kFp32, {3, 2}, six)}) == ErrorCode::kRequestShape);
  CHECK(judge_inputs(schema, {tensor_of(Dtype::kFp32, {0, 3}, six)}) == ErrorCode::kRequestShape);
  CHECK(judge_inputs(schema, {tensor_of(Dtype::kFp32, {-1, 3}, six)}) == ErrorCode::kRequestShape);
  CHECK(judge_inputs(schema, {tensor_of(Dtype::kFp32, {1, 3}, six)}) == ErrorCode::kRequestCount);
  CHECK(judge_inputs(schema, {tensor_of(Dtype::kFp32, {2, 3}, std::vector<float>(5))}) ==
        ErrorCode::kRequestCount);
  Tensor ragged = tensor_of(Dtype::kFp32, {2, 3}, six);
  ragged.data.push_back(0);
  CHECK(judge_inputs(schema, {ragged}) == ErrorCode::kRequestCount);
}

TEST_CASE("check: a huge dynamic shape is refused before anything is read") {
  const Dimension any{0, 2'147'483'647};
  const ModelSchema schema = schema_of(TensorSpec{"x", Dtype::kUint8, {any, any, any}, {}, {}});
  Tensor tensor{"x", Dtype::kUint8, {1 << 30, 1 << 30, 16}, {}};
  CHECK(judge_inputs(schema, {tensor}) == ErrorCode::kRequestShape);
}

TEST_CASE("check: NaN and infinity are refused in every floating type") {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const double value : {kInf, -kInf, kNan}) {
    CHECK(judge<double>(spec_of(Dtype::kFp64), value) == ErrorCode::kRequestNotFinite);
    CHECK(judge<double>(spec_of(Dtype::kFp64, -1, 1), value) == ErrorCode::kRequestNotFinite);
    CHECK(judge<float>(spec_of(Dtype::kFp32), static_cast<float>(value)) ==
          ErrorCode::kRequestNotFinite);
  }
  for (const int bits : {0x7c00, 0xfc00, 0x7e00, 0x7c01}) {
    CHECK(judge<std::uint16_t>(spec_of(Dtype::kFp16), static_cast<std::uint16_t>(bits)) ==
          ErrorCode::kRequestNotFinite);
  }
  for (const int bits : {0x7f80, 0xff80, 0x7fc0, 0x7f81}) {
    CHECK(judge<std::uint16_t>(spec_of(Dtype::kBf16), static_cast<std::uint16_t>(bits)) ==
          ErrorCode::kRequestNotFinite);
  }
  CHECK(!judge<float>(spec_of(Dtype::kFp32), std::numeric_limits<float>::max()).has_value());
  CHECK(!judge<float>(spec_of(Dtype::kFp32), std::numeric_limits<float>::denorm_min()).has_value());
}

TEST_CASE("check: floating ranges are inclusive and exact") {
  const TensorSpec spec = spec_of(Dtype::kFp32, -10, 0.1);
  CHECK(!judge<float>(spec, -10.0f).has_value());
  CHECK(!judge<float>(spec, -0.0f).has_value());
  CHECK(judge<float>(spec, std::nextafter(-10.0f, -11.0f)) == ErrorCode::kRequestRange);
  // 0.1f is above the double 0.1.
  CHECK(judge<float>(spec, 0.1f) == ErrorCode::kRequestRange);
  CHECK(!judge<double>(spec_of(Dtype::kFp64, -10, 0.1), 0.1).has_value());

  const TensorSpec half = spec_of(Dtype::kFp16, -2, 1);
  CHECK(!judge<std::uint16_t>(half, 0x3c00).has_value());  // 1
  CHECK(judge<std::uint16_t>(half, 0x3c01) == ErrorCode::kRequestRange);
  CHECK(!judge<std::uint16_t>(half, 0xc000).has_value());  // -2
  CHECK(judge<std::uint16_t>(half, 0xc001) == ErrorCode::kRequestRange);
  CHECK(!judge<std::uint16_t>(half, 0x0001).has_value());  // smallest subnormal
  CHECK(judge<std::uint16_t>(spec_of(Dtype::kFp16, 0, 1), 0x8001) == ErrorCode::kRequestRange);
  const TensorSpec brain = spec_of(Dtype::kBf16, -2, 1);
  CHECK(!judge<std::uint16_t>(brain, 0x3f80).has_value());  // 1
  CHECK(judge<std::uint16_t>(brain, 0x3f81) == ErrorCode::kRequestRange);
}

TEST_CASE("check: ranges of 64-bit integers are not rounded through double") {
  constexpr std::int64_t k2To53 = 1ll << 53;
  const TensorSpec spec = spec_of(Dtype::kInt64, 0, static_cast<double>(k2To53));
  CHECK(!judge<std::int64_t>(spec, k2To53).has_value());
  CHECK(judge<std::int64_t>(spec, k2To53 + 1) == ErrorCode::kRequestRange);
  CHECK(judge<std::int64_t>(spec, -1) == ErrorCode::kRequestRange);

  const TensorSpec wide = spec_of(Dtype::kUint64, 0, std::ldexp(1.0, 63));
  CHECK(!judge<std::uint64_t>(wide, 1ull << 63).has_value());
  CHECK(judge<std::uint64_t>(wide, (1ull << 63) + 1) == ErrorCode::kRequestRange);

  const TensorSpec beyond = spec_of(Dtype::kInt64, std::ldexp(1.0, 63), {});
  CHECK(judge<std::int64_t>(beyond, std::numeric_limits<std::int64_t>::max()) ==
        ErrorCode::kRequestRange);
  const TensorSpec below = spec_of(Dtype::kUint64, {}, -1);
  CHECK(judge<std::uint64_t>(below, 0) == ErrorCode::kRequestRange);
  const TensorSpec open = spec_of(Dtype::kInt64, -1e300, 1e300);
  CHECK(!judge<std::int64_t>(open, std::numeric_limits<std::int64_t>::min()).has_value());
  CHECK(!judge<std::int64_t>(open, std::numeric_limits<std::int64_t>::max()).has_value());
}

TEST_CASE("check: ranges hold in every integer type, at both ends") {
  const auto both = [](Dtype dtype, auto zero) {
    using T = decltype(zero);
    const TensorSpec spec = spec_of(dtype, 1, 100);
    CHECK(judge<T>(spec, 0) == ErrorCode::kRequestRange);
    CHECK(!judge<T>(spec, 1).has_value());
    CHECK(!judge<T>(spec, 100).has_value());
    CHECK(judge<T>(spec, 101) == ErrorCode::kRequestRange);
  };
  both(Dtype::kUint8, std::uint8_t{});
  both(Dtype::kUint16, std::uint16_t{});
  both(Dtype::kUint32, std::uint32_t{});
  both(Dtype::kUint64, std::uint64_t{});
  both(Dtype::kInt8, std::int8_t{});
  both(Dtype::kInt16, std::int16_t{});
  both(Dtype::kInt32, std::int32_t{});
  both(Dtype::kInt64, std::int64_t{});
  CHECK(judge<std::int8_t>(spec_of(Dtype::kInt8, -1, {}), -2) == ErrorCode::kRequestRange);
}

TEST_CASE("check: a boolean is zero or one") {
  CHECK(!judge<std::uint8_t>(spec_of(Dtype::kBool), 1).has_value());
  CHECK(judge<std::uint8_t>(spec_of(Dtype::kBool), 2) == ErrorCode::kRequestRange);
}

TEST_CASE("check: a message never repeats an input's value") {
  std::vector<Tensor> inputs;
  inputs.push_back(tensor_of<std::int32_t>(Dtype::kInt32, {1}, {987654321}));
  const auto checked = check_inputs(schema_of(spec_of(Dtype::kInt32, 0, 1)), std::move(inputs));
  CHECK(checked.error().message.find("987654321") == std::string::npos);
}

TEST_CASE("check: whatever is wrong with an output is the model's fault") {
  const ModelSchema schema = schema_of(spec_of(Dtype::kFp32));
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  CHECK(check_outputs(schema, {tensor_of<float>(Dtype::kFp32, {2}, {1, 2})}).has_value());
  const auto refuse = [&](std::vector<Tensor> outputs) {
    const auto checked = check_outputs(schema, outputs);
    REQUIRE(!checked.has_value());
    CHECK(checked.error().code == ErrorCode::kOutputInvalid);
  };
  refuse({});
  refuse({tensor_of<float>(Dtype::kFp32, {2}, {1, kNan})});
  refuse({tensor_of<float>(Dtype::kFp32, {5}, {1, 2, 3, 4, 5})});
  refuse({tensor_of<float>(Dtype::kInt32, {1}, {1})});
  refuse({tensor_of<float>(Dtype::kFp32, {2}, {1})});
  const Tensor other = tensor_of<float>(Dtype::kFp32, {1}, {1});
  refuse({Tensor{std::string("z"), other.dtype, other.shape, other.data}});
}
