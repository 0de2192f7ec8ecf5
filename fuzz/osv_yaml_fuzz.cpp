// SPDX-License-Identifier: Apache-2.0
// Any bytes as YAML: what is read becomes JSON that reads.
#include <cstdint>

#include "advisories/source.h"
#include "base/byte_reader.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64u << 10) return 0;  // the library takes its time; the bound is tested elsewhere
  const auto json = advisories::yaml_to_json(as_text(Bytes(data, size)));
  if (json) static_cast<void>(advisories::parse_record(*json));
  return 0;
}
