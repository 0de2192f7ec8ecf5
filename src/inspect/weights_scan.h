// SPDX-License-Identifier: Apache-2.0
// Weights: structure by a strict reader, then their values, since NaN and infinity spread to every
// output. Input: bytes chosen by an attacker.
#pragma once

#include "base/byte_reader.h"
#include "inspect/finding.h"

namespace mlxguard::inspect {

void scan_safetensors(Bytes file, Findings& findings);
/// Structure, chat template and values; blocks of quantised values are not looked into.
void scan_gguf(Bytes file, Findings& findings);
/// Header, inputs and every operation of a function that mlx exported.
void scan_mlxfn(Bytes file, Findings& findings);
/// `offset` is where the bytes begin in the file.
void scan_npy(Bytes file, std::uint64_t offset, Findings& findings);

}  // namespace mlxguard::inspect
