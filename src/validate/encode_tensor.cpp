// SPDX-License-Identifier: Apache-2.0
#include "validate/encode_tensor.h"

#include <cstring>

#include "validate/convert.h"

namespace mlxguard::validate {
namespace {

template <class T, class Write>
void each(const Tensor& tensor, const Write& write) {
  for (std::size_t at = 0; at + sizeof(T) <= tensor.data.size(); at += sizeof(T)) {
    T value{};
    std::memcpy(&value, tensor.data.data() + at, sizeof(T));
    write(value);
  }
}

void write_data(codec::JsonWriter& writer, const Tensor& tensor) {
  const auto integer = [&](auto value) { writer.integer(static_cast<std::int64_t>(value)); };
  switch (tensor.dtype) {
    case Dtype::kBool:
      return each<std::uint8_t>(tensor, [&](auto value) { writer.boolean(value != 0); });
    case Dtype::kUint8:
      return each<std::uint8_t>(tensor, integer);
    case Dtype::kUint16:
      return each<std::uint16_t>(tensor, integer);
    case Dtype::kUint32:
      return each<std::uint32_t>(tensor, integer);
    case Dtype::kUint64:
      return each<std::uint64_t>(tensor, [&](auto value) { writer.unsigned_integer(value); });
    case Dtype::kInt8:
      return each<std::int8_t>(tensor, integer);
    case Dtype::kInt16:
      return each<std::int16_t>(tensor, integer);
    case Dtype::kInt32:
      return each<std::int32_t>(tensor, integer);
    case Dtype::kInt64:
      return each<std::int64_t>(tensor, integer);
    case Dtype::kFp16:
      return each<std::uint16_t>(tensor, [&](auto bits) { writer.number(Half::to_double(bits)); });
    case Dtype::kBf16:
      return each<std::uint16_t>(tensor,
                                 [&](auto bits) { writer.number(BrainFloat::to_double(bits)); });
    case Dtype::kFp32:
      return each<float>(tensor, [&](auto value) { writer.number(value); });
    case Dtype::kFp64:
      return each<double>(tensor, [&](auto value) { writer.number(value); });
  }
}

}  // namespace

void write_tensor(codec::JsonWriter& writer, const Tensor& tensor) {
  writer.begin_object().field("name", tensor.name);
  writer.key("shape").begin_array();
  for (const std::int64_t extent : tensor.shape) writer.integer(extent);
  writer.end_array().field("datatype", name_of(tensor.dtype));
  writer.key("data").begin_array();
  write_data(writer, tensor);
  writer.end_array().end_object();
}

}  // namespace mlxguard::validate
