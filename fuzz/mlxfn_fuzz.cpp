// SPDX-License-Identifier: Apache-2.0
// Any bytes as a function that mlx exported: the reader ends inside of the file, and what is
// accepted was read to its last byte.
#include <cstdint>

#include "base/check.h"
#include "format/mlxfn.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes file(data, size);
  const format::MlxfnReading reading = format::read_mlxfn(file);
  MLXGUARD_CHECK(reading.failed_at <= size);
  const auto checked = format::check_mlxfn(file);
  MLXGUARD_CHECK(checked.has_value() == (!reading.fault && !reading.own_code));
  MLXGUARD_CHECK(!checked || reading.failed_at == size);
  return 0;
}
