// SPDX-License-Identifier: Apache-2.0
// Any bytes as a npy file: what is accepted has the size that its shape says, and what lies in it
// is told without a read out of bounds.
#include <cstdint>

#include "base/check.h"
#include "base/limits.h"
#include "format/npy.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes file(data, size);
  const auto header = format::read_npy_header(file);
  if (header) {
    MLXGUARD_CHECK(header->data_begin_bytes <= size && header->version >= 1 &&
                   header->version <= 3);
    MLXGUARD_CHECK(!header->descr.empty() && header->shape.size() <= limits::kTensorRankMax);
    MLXGUARD_CHECK(header->element_count <= limits::kTensorElementsMax);
    MLXGUARD_CHECK(*format::npy_data_begin(file) == header->data_begin_bytes);
  }
  const auto array = format::parse_npy(file);
  if (!array) return 0;
  MLXGUARD_CHECK(header.has_value() && header->elements == format::NpyElements::kPlain);
  MLXGUARD_CHECK(array->begin_bytes == header->data_begin_bytes && array->end_bytes == size);
  std::uint64_t bytes = header->element_bytes;
  for (const std::int64_t extent : array->shape) {
    MLXGUARD_CHECK(extent >= 0 && extent <= limits::kTensorDimensionMax);
    bytes *= static_cast<std::uint64_t>(extent);
  }
  MLXGUARD_CHECK(bytes == size - array->begin_bytes && !array->dtype.empty());
  return 0;
}
