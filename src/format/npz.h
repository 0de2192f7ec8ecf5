// SPDX-License-Identifier: Apache-2.0
// A npz file: a ZIP archive each entry of which is a npy file. Input: bytes chosen by an attacker.
// Stricter than Python's zipfile, through which mlx reads it: each entry lies where it says, once,
// whole, under a name that stays in its folder.
#pragma once

#include <string>
#include <vector>

#include "format/npy.h"

namespace mlxguard::format {

struct NpzMember {
  std::string name{};  ///< as mlx gives it: without ".npy"
  NpyArray array{};    ///< offsets are those of the unpacked entry
};

/// Errors, with `subject` the entry: kArchive, kTooLarge, and those of parse_npy().
[[nodiscard]] Result<std::vector<NpzMember>> parse_npz(Bytes file);

}  // namespace mlxguard::format
