// SPDX-License-Identifier: Apache-2.0
// One file's bytes to its findings. It executes nothing and imports nothing; it runs in the
// sandboxed inspector process, one file at a time. Input: bytes chosen by an attacker.
#pragma once

#include "base/byte_reader.h"
#include "inspect/config_scan.h"
#include "inspect/finding.h"

namespace mlxguard::inspect {

/// What cannot be inspected to its end is a gap of the report, never silence.
[[nodiscard]] FileReport inspect_file(Bytes file, const FileContext& context);

}  // namespace mlxguard::inspect
