// SPDX-License-Identifier: Apache-2.0
// GGUF by its own rules: every length, count, type and offset is checked against the file before it
// is believed. Input: bytes chosen by an attacker; nothing is handed to mlx, whose reader crashes
// on some of what is refused here.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::format {

/// Text of the metadata, as it stands in the file.
struct GgufText {
  std::string_view key{};
  std::string_view text{};
  std::uint64_t offset = 0;  ///< of the text
};

struct GgufTensor {
  std::string_view name{};
  std::uint32_t type = 0;                        ///< by ggml's number
  std::vector<std::int64_t> shape{};             ///< outermost first, as mlx has it
  std::uint64_t begin_bytes = 0, end_bytes = 0;  ///< from the start of the file
};

/// What was read, up to the fault if there is one.
struct GgufReading {
  std::vector<GgufText> texts{};
  std::vector<GgufTensor> tensors{};
  bool nested_arrays = false;    ///< metadata that holds arrays of arrays, or one beyond 31 bits
  std::optional<Error> fault{};  ///< kGgufHeader, kGgufMetadata, kGgufTensor
  std::uint64_t failed_at = 0;   ///< the fault's place
};

[[nodiscard]] GgufReading read_gguf(Bytes file);

/// The tensors of a file that mlx may be given: well-formed, and of types and sizes that mlx reads.
/// Errors: those of read_gguf(), with `subject` the tensor where there is one.
[[nodiscard]] Result<std::vector<GgufTensor>> parse_gguf(Bytes file);

}  // namespace mlxguard::format
