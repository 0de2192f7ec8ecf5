// SPDX-License-Identifier: Apache-2.0
// Reads the header of a npy file: a Python dictionary as numpy and mlx write it, and nothing else
// of Python's. Input: bytes chosen by an attacker. mlx finds type and order by their place in the
// text and numpy evaluates it, so only the one form that both read alike is taken.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::format {

enum class NpyElements : std::uint8_t {
  kPlain,    ///< numbers, text, dates: all of one size
  kRecords,  ///< several fields, or arrays, an element
  kObjects,  ///< Python objects: the data is a pickle
};

struct NpyHeader {
  std::string_view descr{};  ///< as it stands in the file, quotes included
  NpyElements elements = NpyElements::kPlain;
  std::uint64_t element_bytes = 0;  ///< kPlain
  bool fortran_order = false;
  unsigned version = 1;               ///< 1..3
  std::vector<std::int64_t> shape{};  ///< each 0..kTensorDimensionMax
  std::uint64_t element_count = 0;
  std::uint64_t data_begin_bytes = 0;
};

/// Where the data begins, whatever the header says. Error: kNpyHeader.
[[nodiscard]] Result<std::size_t> npy_data_begin(Bytes file);

/// `file` may end behind the header. Errors: kNpyHeader, kNpyDtype (unknown), kNpyShape.
[[nodiscard]] Result<NpyHeader> read_npy_header(Bytes file);

struct NpyArray {
  std::string_view dtype{};  ///< by mlx's name: "float32"
  std::vector<std::int64_t> shape{};
  std::uint64_t begin_bytes = 0, end_bytes = 0;
};

/// What mlx may be given: of a type and version that it reads, of exactly the size that its shape
/// says. `head` holds at least the header of a file of `file_bytes`.
/// Errors: kNpyHeader, kNpyDtype (also Python objects), kNpyShape.
[[nodiscard]] Result<NpyArray> parse_npy(Bytes head, std::uint64_t file_bytes);
[[nodiscard]] Result<NpyArray> parse_npy(Bytes file);

}  // namespace mlxguard::format
