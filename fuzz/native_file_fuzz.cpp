// SPDX-License-Identifier: Apache-2.0
// Any bytes as an ELF or Mach-O file: readers stay inside of it, and fingerprints end.
#include <cstdint>

#include "inventory/native_parts.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  auto slices = inventory::summarize(bytes);
  if (!slices) return 0;
  inventory::Builder builder;
  inventory::UnknownSystem system;
  inventory::add_native_parts(builder, {{"pkg:pypi/mlx@0.32.4", "mlx", "0.32.4", {}}},
                              {{"mlx/lib/libmlx.so", "", 0, *std::move(slices)}}, system);
  static_cast<void>(std::move(builder).build("x", "x"));
  return 0;
}
