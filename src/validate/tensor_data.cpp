// SPDX-License-Identifier: Apache-2.0
#include "validate/tensor_data.h"

#include <cstring>

#include "base/checked.h"
#include "base/limits.h"
#include "validate/convert.h"

namespace mlxguard::validate {
namespace {

using codec::JsonKind;
using codec::JsonNesting;
using codec::JsonValue;

Error refuse(ErrorCode code, std::string message, const std::string& subject) {
  return make_error(code, std::move(message)).about(subject);
}

template <class T>
void append(std::vector<std::uint8_t>& data, T value) {
  const std::size_t at = data.size();
  data.resize(at + sizeof(T));
  std::memcpy(data.data() + at, &value, sizeof(T));
}

Error wrong_element(const TensorSpec& spec) {
  return refuse(ErrorCode::kRequestType,
                "expected every element of data to be of type " + std::string(name_of(spec.dtype)),
                spec.name);
}

Error unfit_element(const TensorSpec& spec) {
  return refuse(ErrorCode::kRequestRange,
                "a number that " + std::string(name_of(spec.dtype)) + " cannot hold", spec.name);
}

template <class T>
Result<void> append_integer(const TensorSpec& spec, const JsonValue& element,
                            std::vector<std::uint8_t>& data) {
  if (!element.is(JsonKind::kInteger)) return wrong_element(spec);
  if (const auto value = element.as_int64()) {
    const auto fits = checked_cast<T>(*value);
    if (!fits) return unfit_element(spec);
    append(data, *fits);
    return {};
  }
  const auto value = element.as_uint64();
  const auto fits = value ? checked_cast<T>(*value) : std::nullopt;
  if (!fits) return unfit_element(spec);
  append(data, *fits);
  return {};
}

Result<void> append_bool(const TensorSpec& spec, const JsonValue& element,
                         std::vector<std::uint8_t>& data) {
  const auto value = element.as_bool();
  if (!value) return wrong_element(spec);
  data.push_back(*value ? 1 : 0);
  return {};
}

/// What is left of an element's type when its number is known.
Result<void> append_number(const TensorSpec& spec, double value, std::vector<std::uint8_t>& data) {
  switch (spec.dtype) {
    case Dtype::kFp64:
      append(data, value);  // JSON has no infinity, and the codec refuses what overflows a double
      return {};
    case Dtype::kFp32: {
      const auto fits = to_float(value);
      if (!fits) return unfit_element(spec);
      append(data, *fits);
      return {};
    }
    case Dtype::kFp16:
    case Dtype::kBf16: {
      const auto fits =
          spec.dtype == Dtype::kFp16 ? Half::from_double(value) : BrainFloat::from_double(value);
      if (!fits) return unfit_element(spec);
      append(data, *fits);
      return {};
    }
    default:
      return wrong_element(spec);
  }
}

Result<void> append_element(const TensorSpec& spec, const JsonValue& element,
                            std::vector<std::uint8_t>& data) {
  switch (spec.dtype) {
    case Dtype::kBool:
      return append_bool(spec, element, data);
    case Dtype::kUint8:
      return append_integer<std::uint8_t>(spec, element, data);
    case Dtype::kUint16:
      return append_integer<std::uint16_t>(spec, element, data);
    case Dtype::kUint32:
      return append_integer<std::uint32_t>(spec, element, data);
    case Dtype::kUint64:
      return append_integer<std::uint64_t>(spec, element, data);
    case Dtype::kInt8:
      return append_integer<std::int8_t>(spec, element, data);
    case Dtype::kInt16:
      return append_integer<std::int16_t>(spec, element, data);
    case Dtype::kInt32:
      return append_integer<std::int32_t>(spec, element, data);
    case Dtype::kInt64:
      return append_integer<std::int64_t>(spec, element, data);
    case Dtype::kFp16:
    case Dtype::kBf16:
    case Dtype::kFp32:
    case Dtype::kFp64: {
      const auto value = element.as_double();
      if (!value) return wrong_element(spec);
      return append_number(spec, *value, data);
    }
  }
  MLXGUARD_CHECK(false);
}

/// One element after another; says exactly what is wrong with which type.
Result<void> append_elements(const TensorSpec& spec, const JsonValue& row,
                             std::vector<std::uint8_t>& data) {
  return row.each_element([&](std::size_t, JsonValue element) -> Result<void> {
    return append_element(spec, element, data);
  });
}

/// The whole row as FP32 at once; false if any of it needs a closer look.
bool append_floats(const JsonValue& row, std::vector<std::uint8_t>& data) {
  std::vector<float> numbers;
  const auto flat = row.flatten_floats(numbers, limits::kTensorElementsMax, JsonNesting::kRefused);
  if (!flat) return false;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(numbers.data());
  data.insert(data.end(), bytes, bytes + numbers.size() * sizeof(float));
  return true;
}

/// One row of elements; a nested array in it is an element of the wrong type.
Result<void> append_row(const TensorSpec& spec, const JsonValue& row,
                        std::vector<std::uint8_t>& data) {
  if (spec.dtype == Dtype::kFp32 && append_floats(row, data)) return {};
  return append_elements(spec, row, data);
}

/// Nested data: every level has exactly the extent that `shape` says.
Result<void> append_nested(const TensorSpec& spec, const JsonValue& value, const Shape& shape,
                           std::size_t level, std::vector<std::uint8_t>& data) {
  if (!value.is(JsonKind::kArray) || value.size() != static_cast<std::uint64_t>(shape[level])) {
    return refuse(ErrorCode::kRequestCount, "expected data to be nested as its shape says",
                  spec.name);
  }
  if (level + 1 == shape.size()) return append_row(spec, value, data);
  return value.each_element([&](std::size_t, JsonValue element) -> Result<void> {
    return append_nested(spec, element, shape, level + 1, data);
  });
}

bool is_nested(const JsonValue& data) {
  bool nested = false;
  // The visitor's error only ends the walk after the first element.
  (void)data.each_element([&](std::size_t, JsonValue element) -> Result<void> {
    nested = element.is(JsonKind::kArray);
    return make_error(ErrorCode::kInternal, "");
  });
  return nested;
}

}  // namespace

Result<std::vector<std::uint8_t>> tensor_data_of(const TensorSpec& spec, const JsonValue& value,
                                                 const Shape& shape) {
  const auto count = element_count(shape);
  if (!count) {
    return refuse(ErrorCode::kRequestShape, "a shape with too many elements", spec.name);
  }
  if (!value.is(JsonKind::kArray)) {
    return refuse(ErrorCode::kRequestType, "expected data to be an array", spec.name);
  }
  std::vector<std::uint8_t> data;
  if (shape.size() > 1 && is_nested(value)) {
    // Each level is checked before the next is entered, so nothing grows beyond what was sent.
    MLXGUARD_TRY(append_nested(spec, value, shape, 0, data));
    return data;
  }
  MLXGUARD_TRY(append_row(spec, value, data));
  const std::size_t found = data.size() / size_of(spec.dtype);
  if (found == *count) return data;
  return refuse(ErrorCode::kRequestCount,
                "expected " + std::to_string(*count) + " elements, found " + std::to_string(found),
                spec.name);
}

}  // namespace mlxguard::validate
