// SPDX-License-Identifier: Apache-2.0
#include "validate/check.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "validate/convert.h"

namespace mlxguard::validate {
namespace {

enum class Flaw : std::uint8_t { kNone, kNotFinite, kOutOfRange };

template <class T>
T element_at(const std::vector<std::uint8_t>& data, std::size_t index) {
  T value;
  std::memcpy(&value, data.data() + index * sizeof(T), sizeof(T));
  return value;
}

/// Bounds of an integer type in that type. Comparing as doubles would let 2^53 + 1 pass for 2^53.
template <class T>
struct IntegerBounds {
  T min = std::numeric_limits<T>::min();
  T max = std::numeric_limits<T>::max();
  bool nothing_fits = false;

  explicit IntegerBounds(const TensorSpec& spec) {
    // 2^digits, one beyond the largest value, is exact as a double; the smallest value is too.
    const double beyond = std::ldexp(1.0, std::numeric_limits<T>::digits);
    const double least = std::is_signed_v<T> ? -beyond : 0.0;
    if (spec.value_min) {
      const double low = std::ceil(*spec.value_min);
      if (!(low < beyond))
        nothing_fits = true;
      else if (low > least)
        min = static_cast<T>(low);
    }
    if (spec.value_max) {
      const double high = std::floor(*spec.value_max);
      if (!(high >= least))
        nothing_fits = true;
      else if (high < beyond)
        max = static_cast<T>(high);
    }
  }
};

template <class T>
Flaw check_integers(const TensorSpec& spec, const std::vector<std::uint8_t>& data) {
  if (!spec.value_min && !spec.value_max) return Flaw::kNone;
  const IntegerBounds<T> bounds(spec);
  const std::size_t count = data.size() / sizeof(T);
  bool outside = bounds.nothing_fits && count > 0;
  for (std::size_t i = 0; i < count; ++i) {
    const T value = element_at<T>(data, i);
    outside |= (value < bounds.min) | (value > bounds.max);
  }
  return outside ? Flaw::kOutOfRange : Flaw::kNone;
}

/// `Bits` is the float's own integer; all exponent bits set means infinity or NaN.
template <class Bits>
bool has_non_finite(const std::vector<std::uint8_t>& data, Bits exponent_mask) {
  const std::size_t count = data.size() / sizeof(Bits);
  bool found = false;
  for (std::size_t i = 0; i < count; ++i) {
    found |= (element_at<Bits>(data, i) & exponent_mask) == exponent_mask;
  }
  return found;
}

template <class Bits, class ToDouble>
Flaw check_floats(const TensorSpec& spec, const std::vector<std::uint8_t>& data, Bits exponent_mask,
                  ToDouble to_double) {
  if (has_non_finite<Bits>(data, exponent_mask)) return Flaw::kNotFinite;
  if (!spec.value_min && !spec.value_max) return Flaw::kNone;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double min = spec.value_min.value_or(-kInfinity);
  const double max = spec.value_max.value_or(kInfinity);
  const std::size_t count = data.size() / sizeof(Bits);
  bool outside = false;
  for (std::size_t i = 0; i < count; ++i) {
    const double value = to_double(element_at<Bits>(data, i));
    outside |= !((value >= min) & (value <= max));
  }
  return outside ? Flaw::kOutOfRange : Flaw::kNone;
}

Flaw check_bools(const std::vector<std::uint8_t>& data) {
  bool outside = false;
  for (const std::uint8_t byte : data) outside |= byte > 1;
  return outside ? Flaw::kOutOfRange : Flaw::kNone;
}

Flaw check_values(const TensorSpec& spec, const std::vector<std::uint8_t>& data) {
  switch (spec.dtype) {
    case Dtype::kBool:
      return check_bools(data);
    case Dtype::kUint8:
      return check_integers<std::uint8_t>(spec, data);
    case Dtype::kUint16:
      return check_integers<std::uint16_t>(spec, data);
    case Dtype::kUint32:
      return check_integers<std::uint32_t>(spec, data);
    case Dtype::kUint64:
      return check_integers<std::uint64_t>(spec, data);
    case Dtype::kInt8:
      return check_integers<std::int8_t>(spec, data);
    case Dtype::kInt16:
      return check_integers<std::int16_t>(spec, data);
    case Dtype::kInt32:
      return check_integers<std::int32_t>(spec, data);
    case Dtype::kInt64:
      return check_integers<std::int64_t>(spec, data);
    case Dtype::kFp16:
      return check_floats<std::uint16_t>(spec, data, 0x7c00, Half::to_double);
    case Dtype::kBf16:
      return check_floats<std::uint16_t>(spec, data, 0x7f80, BrainFloat::to_double);
    case Dtype::kFp32:
      return check_floats<std::uint32_t>(spec, data, 0x7f80'0000u, [](std::uint32_t bits) {
        return static_cast<double>(std::bit_cast<float>(bits));
      });
    case Dtype::kFp64:
      return check_floats<std::uint64_t>(
          spec, data, 0x7ff0'0000'0000'0000u,
          [](std::uint64_t bits) { return std::bit_cast<double>(bits); });
  }
  MLXGUARD_CHECK(false);
}

std::string allowed(const std::vector<Dimension>& shape) {
  std::string text = "[";
  for (const Dimension& dimension : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dimension.min);
    if (!dimension.fixed()) text += " to " + std::to_string(dimension.max);
  }
  return text + "]";
}

bool shape_fits(const std::vector<Dimension>& allowed_shape, const Shape& shape) {
  if (shape.size() != allowed_shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < allowed_shape[i].min || shape[i] > allowed_shape[i].max) return false;
  }
  return true;
}

Error flawed(ErrorCode code, const TensorSpec& spec, std::string message) {
  return make_error(code, std::move(message)).about(spec.name);
}

Result<void> check_tensor(const TensorSpec& spec, const Tensor& tensor) {
  if (tensor.dtype != spec.dtype) {
    return flawed(ErrorCode::kRequestType, spec,
                  "expected datatype " + std::string(name_of(spec.dtype)) + ", found " +
                      std::string(name_of(tensor.dtype)));
  }
  if (!shape_fits(spec.shape, tensor.shape)) {
    return flawed(ErrorCode::kRequestShape, spec, "expected a shape of " + allowed(spec.shape));
  }
  const auto count = element_count(tensor.shape);
  if (!count) return flawed(ErrorCode::kRequestShape, spec, "a shape with too many elements");
  if (tensor.data.size() % size_of(spec.dtype) != 0 ||
      tensor.data.size() / size_of(spec.dtype) != *count) {
    return flawed(ErrorCode::kRequestCount, spec,
                  "expected " + std::to_string(*count) + " elements, found " +
                      std::to_string(tensor.data.size() / size_of(spec.dtype)));
  }
  switch (check_values(spec, tensor.data)) {
    case Flaw::kNone:
      return {};
    case Flaw::kNotFinite:
      return flawed(ErrorCode::kRequestNotFinite, spec, "expected finite numbers only");
    case Flaw::kOutOfRange:
      return flawed(ErrorCode::kRequestRange, spec, "a value outside of the model's allowed range");
  }
  MLXGUARD_CHECK(false);
}

/// Puts the tensors into the schema's order. The name of an unknown one is not repeated: it is
/// input.
Result<std::vector<Tensor>> in_order(const std::vector<TensorSpec>& specs,
                                     std::vector<Tensor> tensors) {
  std::vector<Tensor> ordered(specs.size());
  std::vector<bool> seen(specs.size(), false);
  for (Tensor& tensor : tensors) {
    std::size_t at = 0;
    while (at < specs.size() && specs[at].name != tensor.name) ++at;
    if (at == specs.size()) {
      return make_error(ErrorCode::kRequestUnknown,
                        "a tensor that the model's schema does not name");
    }
    if (seen[at]) return flawed(ErrorCode::kRequestUnknown, specs[at], "a tensor is given twice");
    seen[at] = true;
    ordered[at] = std::move(tensor);
  }
  for (std::size_t at = 0; at < specs.size(); ++at) {
    if (!seen[at]) return flawed(ErrorCode::kRequestMissing, specs[at], "a tensor is missing");
  }
  return ordered;
}

}  // namespace

Result<ValidatedInputs> check_inputs(const ModelSchema& schema, std::vector<Tensor> inputs) {
  MLXGUARD_TRY_ASSIGN(std::vector<Tensor> ordered, in_order(schema.inputs, std::move(inputs)));
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    MLXGUARD_TRY(check_tensor(schema.inputs[i], ordered[i]));
  }
  return ValidatedInputs(std::move(ordered));
}

Result<void> check_outputs(const ModelSchema& schema, const std::vector<Tensor>& outputs) {
  const auto invalid = [](const std::string& name, std::string message) {
    return make_error(ErrorCode::kOutputInvalid, std::move(message)).about(name);
  };
  if (outputs.size() != schema.outputs.size()) {
    return invalid("", "expected " + std::to_string(schema.outputs.size()) + " outputs, found " +
                           std::to_string(outputs.size()));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TensorSpec& spec = schema.outputs[i];
    if (outputs[i].name != spec.name) {
      return invalid(spec.name, "an output is missing or not in the schema's order");
    }
    const auto checked = check_tensor(spec, outputs[i]);
    if (!checked) return invalid(spec.name, checked.error().message);
  }
  return {};
}

}  // namespace mlxguard::validate
