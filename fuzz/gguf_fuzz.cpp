// SPDX-License-Identifier: Apache-2.0
// Any bytes as a GGUF file: texts and tensors lie inside of it, and tensors that are accepted are
// disjoint.
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/limits.h"
#include "format/gguf.h"

using namespace mlxguard;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes file(data, size);
  const format::GgufReading reading = format::read_gguf(file);
  MLXGUARD_CHECK(reading.failed_at <= size);
  for (const format::GgufText& text : reading.texts) {
    MLXGUARD_CHECK(text.offset <= size && text.text.size() <= size - text.offset);
    MLXGUARD_CHECK(text.text == as_text(file.subspan(text.offset, text.text.size())));
  }
  const auto tensors = format::parse_gguf(file);
  MLXGUARD_CHECK(!tensors || !reading.fault);
  if (!tensors) return 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  for (const format::GgufTensor& tensor : *tensors) {
    MLXGUARD_CHECK(tensor.begin_bytes <= tensor.end_bytes && tensor.end_bytes <= size);
    MLXGUARD_CHECK(!tensor.name.empty() && tensor.shape.size() <= limits::kGgufRankMax);
    if (tensor.begin_bytes != tensor.end_bytes) {
      places.emplace_back(tensor.begin_bytes, tensor.end_bytes);
    }
  }
  std::sort(places.begin(), places.end());
  for (std::size_t i = 1; i < places.size(); ++i) {
    MLXGUARD_CHECK(places[i - 1].second <= places[i].first);
  }
  return 0;
}
