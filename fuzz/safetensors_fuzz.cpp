// SPDX-License-Identifier: Apache-2.0
// Any bytes as a safetensors file: the parser neither reads out of bounds nor accepts an index that
// breaks what TensorIndex promises. (That mlx reads accepted files alike is tests/interop's
// business.)
#include <cstdint>

#include "base/check.h"
#include "base/limits.h"
#include "format/safetensors.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto index = format::parse_safetensors(Bytes(data, size));
  if (!index) return 0;
  std::uint64_t at = index->data_begin_bytes();
  for (const format::TensorEntry& entry : index->entries()) {
    MLXGUARD_CHECK(index->find(entry.name) == &entry);
    MLXGUARD_CHECK(entry.begin_bytes == at && entry.end_bytes >= at && entry.end_bytes <= size);
    MLXGUARD_CHECK(entry.shape.size() <= limits::kTensorRankMax);
    unsigned __int128 bytes = format::size_of(entry.type);
    for (const std::int64_t extent : entry.shape) {
      MLXGUARD_CHECK(extent >= 0 && extent <= limits::kTensorDimensionMax);
      bytes *=
          static_cast<unsigned __int128>(extent);  // 8 factors of 31 bits could wrap even this,
      MLXGUARD_CHECK(bytes >> 64 == 0);            // so every step must stay small
    }
    MLXGUARD_CHECK(static_cast<std::uint64_t>(bytes) == entry.end_bytes - entry.begin_bytes);
    at = entry.end_bytes;
  }
  MLXGUARD_CHECK(at == size);
  return 0;
}
