// SPDX-License-Identifier: Apache-2.0
// Functions exported by mlx (.mlxfn), by the order in which mlx writes them: header, inputs, then
// every operation with its state, then nothing. There is no mark and no checksum, so all of it is
// checked: counts against what is left, kinds and shapes against mlx's own, each operation against
// a table. Input: bytes chosen by an attacker; nothing is handed to mlx.
#pragma once

#include <cstdint>
#include <optional>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::format {

/// What was read, up to the fault if there is one.
struct MlxfnReading {
  bool shapeless = false;        ///< mlx does not check the shapes that it is given
  bool own_code = false;         ///< an operation brings source code; what follows is not read
  std::optional<Error> fault{};  ///< kMlxfn
  std::uint64_t failed_at = 0;   ///< where reading ended
};

[[nodiscard]] MlxfnReading read_mlxfn(Bytes file);

/// What mlx may be given: well-formed to its end, and without code of its own. Error: kMlxfn.
[[nodiscard]] Result<void> check_mlxfn(Bytes file);

}  // namespace mlxguard::format
